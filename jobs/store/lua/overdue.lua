-- Finds the chunks of a job to send again: sent some time ago and neither recorded nor leased. Ends leases that have
-- run out.
-- KEYS: as in common.lua. ARGV: grace seconds, upper bound of the resend interval, 1 if every unclaimed message is
-- known to be in the queue (then only ended leases count), window.
-- Returns the chunk numbers.
-- Atomic: between the look and the new due time, no worker may claim the chunk and no second reconciler send it.
--
-- A message may merely wait in a long queue, so each resend doubles the interval until the next. Chunks of a complete
-- upload that the window allows by now but that were never handed out are sent as well. The keys of a job that runs for
-- days are renewed here.
local grace, max_interval, all_queued, window, at =
    tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4]), now()
local fields = redis.call('HMGET', JOB, 'sealed', 'retention', 'state')
local complete = fields[1] == '1' and not ended(fields[3])
if complete and redis.call('TTL', JOB) < tonumber(fields[2]) / 2 then
    expire_job(tonumber(fields[2]))
    extend_expiry(JOBS, tonumber(fields[2]))
    extend_expiry(UNFINISHED, tonumber(fields[2]))
end
local overdue = {}
for _, chunk in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, '-inf', at)) do
    local was_leased = redis.call('HDEL', LEASES, chunk) == 1
    -- A chunk that was never leased has its message in the queue, if no message was lost.
    if was_leased or not all_queued then
        local sent = redis.call('HINCRBY', COUNTS, 'sent:' .. chunk, 1)
        redis.call('ZADD', INFLIGHT, at + math.min(max_interval, grace * 2 ^ sent), chunk)
        overdue[#overdue + 1] = chunk
    end
end
if #overdue > 0 then
    redis.call('PEXPIRE', COUNTS, redis.call('PTTL', JOB))
    count(TOTALS, 'chunks:sent_again', #overdue)
end
if complete then
    for _, chunk in ipairs(hand_out(window, grace, at)) do overdue[#overdue + 1] = chunk end
end
return overdue
