-- The upload is whole: the job shows, and no crash loses it. Answers the chunks to send and how the job
-- ended if that was its end, the state of a job that has ended meanwhile, or false if it was forgotten.
local id, window, grace = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local fields = redis.call('HMGET', JOB, 'state', 'sealed', 'retention', 'created')
if not fields[1] then return false end
if fields[2] == '1' then return {{}} end
if ended(fields[1]) then return fields[1] end
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
local ending = finish_if_complete(id, at)
if ending then return {{}, ending} end
changed(id, at)
return {hand_out(window, grace, at)}
