-- Finds the chunks of jobs to send again: sent some time ago and neither recorded nor leased. Ends leases that have run
-- out, and hands out what the window allows by now.
-- KEYS: as in common.lua, of a job whose id is empty. ARGV: grace seconds, upper bound of the resend interval, window,
-- then the ids of the jobs.
-- Returns three items per job with chunks to send: its id, those whose message or worker was lost, and those that are
-- handed out.
-- Atomic: between the look and the new due time, no worker may claim a chunk and no second reconciler send it.
--
-- A message may merely wait in a long queue. Messages leave it in the order in which they came, so one that was sent
-- before the oldest one there has left it. It may have done so a moment ago, hence a second look: a chunk that is
-- still not leased then was lost. The second resend of a chunk takes longer, and so on, in case workers are stuck.
local grace, max_interval, window, at = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), now()
local names = {JOB, INPUT, OUTPUT, REJECTS, INFLIGHT, LEASES, COUNTS, SUMMARY}
local oldest = redis.call('LINDEX', BULK_QUEUE, -1)
local sent_until = oldest and tonumber(string.match(oldest, '"sent_at": ?([%d.]+)') or 0) or at

-- Makes the functions of common.lua act on this job.
local function select_job(id)
    local selected = {}
    for position, name in ipairs(names) do selected[position] = names[1] .. id .. string.sub(name, #names[1] + 1) end
    JOB, INPUT, OUTPUT, REJECTS, INFLIGHT, LEASES, COUNTS, SUMMARY = unpack(selected)
end

-- Returns whether the message or the worker of a chunk that is due was lost.
local function is_lost(chunk)
    local missed = redis.call('HDEL', COUNTS, 'missed:' .. chunk) == 1
    if redis.call('HDEL', LEASES, chunk) == 1 or missed then return true end
    if tonumber(redis.call('ZSCORE', INFLIGHT, chunk)) < sent_until then
        redis.call('HSET', COUNTS, 'missed:' .. chunk, 1)
        redis.call('ZADD', INFLIGHT, at + grace / 2, chunk)
    end
    return false
end

local function find_lost()
    local lost, due = {}, redis.call('ZRANGEBYSCORE', INFLIGHT, '-inf', at)
    for _, chunk in ipairs(due) do
        if is_lost(chunk) then
            local sent = redis.call('HINCRBY', COUNTS, 'sent:' .. chunk, 1)
            redis.call('ZADD', INFLIGHT, at + math.min(max_interval, grace * 2 ^ sent), chunk)
            lost[#lost + 1] = chunk
        end
    end
    if #due > 0 then redis.call('PEXPIRE', COUNTS, redis.call('PTTL', JOB)) end
    return lost
end

-- Lets what is due in a future that no script can have meant be due soon: another server, whose clock is behind, has
-- taken over from the one that set the time.
local function correct_clock()
    local farthest = at + 2 * math.max(max_interval, grace)
    for _, chunk in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, farthest, '+inf')) do
        redis.call('ZADD', INFLIGHT, at + grace, chunk)
    end
end

local found = {}
for position = 4, #ARGV do
    local id = ARGV[position]
    select_job(id)
    local fields = redis.call('HMGET', JOB, 'sealed', 'retention', 'state')
    if not fields[3] then redis.call('ZREM', UNFINISHED, id) end
    local complete = fields[1] == '1' and not ended(fields[3])
    -- A job may run for days.
    if complete and redis.call('TTL', JOB) < tonumber(fields[2]) / 2 then
        expire_job(tonumber(fields[2]))
        extend_expiry(JOBS, tonumber(fields[2]))
        extend_expiry(UNFINISHED, tonumber(fields[2]))
    end
    correct_clock()
    local lost = find_lost()
    if #lost > 0 then count(TOTALS, 'chunks:sent_again', #lost) end
    local handed_out = complete and hand_out(window, grace, at) or {}
    if #lost + #handed_out > 0 then
        for _, item in ipairs({id, lost, handed_out}) do found[#found + 1] = item end
    end
end
return found
