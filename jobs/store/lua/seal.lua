-- The upload is whole: the job shows, and no crash loses it. Returns the chunks to send and how the job ended if that
-- was its end, or false if it was forgotten. A job that has failed meanwhile shows with its reason, as one that fails
-- later; for one that was canceled there is nothing to show, and its ending is the answer. So it is for one that another
-- upload under its idempotency key has overtaken: 'first', that one's job and its fingerprint.
local id, window, grace = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local fields = redis.call('HMGET', JOB, 'state', 'sealed', 'retention', 'created')
if not fields[1] then return false end
if fields[2] == '1' then return {{}} end
if fields[1] == 'canceled' then return 'was canceled' end
if KEYS[12] then
    local first = redis.call('HMGET', KEYS[12], 'job', 'fingerprint')
    if first[1] and redis.call('EXISTS', JOB:sub(1, -#id - 1) .. first[1]) == 1 then
        return 'first ' .. first[1] .. ' ' .. first[2]
    end
end
for position = 4, #ARGV, 2 do redis.call('HSET', JOB, ARGV[position], ARGV[position + 1]) end
local at, retention = now(), tonumber(fields[3])
redis.call('HSET', JOB, 'sealed', 1, 'expires', at + retention)
if KEYS[12] then
    -- In the same step: there is no moment in which the job is there and its idempotency key does not know it.
    redis.call('HSET', KEYS[12], 'job', id, 'fingerprint', redis.call('HGET', JOB, 'fingerprint'))
    redis.call('EXPIRE', KEYS[12], retention)
end
redis.call('ZADD', JOBS, fields[4], id)
extend(JOBS, retention)
extend(UNFINISHED, retention)
keep(retention)
count(TOTALS, 'jobs:accepted')
if ended(fields[1]) then
    changed(id, at)
    return {{}}
end
local ending = finish_if_complete(id, at)
if ending then return {{}, ending} end
changed(id, at)
return {hand_out(window, grace, at)}
