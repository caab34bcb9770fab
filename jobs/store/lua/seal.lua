-- Marks an upload as complete: from here on the job is visible, and no crash loses it.
-- KEYS: as in common.lua, then optionally KEYS[12]: hash of the upload's idempotency key. ARGV: job id, window, grace
-- seconds, number of chunks (empty: not known yet) and of blocks of a file to convert, then name and value of each field that is known only now.
-- Returns {chunks to send[, how the job ended]}; false if the upload has expired; 'was canceled'; LOST
-- if a chunk or block is missing; or
-- 'first <job id> <fingerprint>' if another upload under the idempotency key was complete before.
-- A job that failed meanwhile becomes visible with its error, like one that fails later.
-- Atomic: the job, its place in the lists and its idempotency key appear together. Repeating the call changes nothing.
local id, window, grace = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local fields = redis.call('HMGET', JOB, 'state', 'sealed', 'retention', 'created')
if not fields[1] then return false end
if fields[2] == '1' then return {{}} end
if fields[1] == 'canceled' then return 'was canceled' end
if not ended(fields[1]) then
    if ARGV[4] ~= '' and redis.call('HGET', JOB, 'chunks') ~= ARGV[4] then return LOST end
    if ARGV[5] ~= '0' and redis.call('HEXISTS', INPUT, 'source:' .. ARGV[5] - 1) == 0 then return LOST end
end
if KEYS[12] then
    local first = first_upload(KEYS[12], id)
    if first then return first end
end
for position = 6, #ARGV, 2 do redis.call('HSET', JOB, ARGV[position], ARGV[position + 1]) end
local at, retention = now(), tonumber(fields[3])
redis.call('HSET', JOB, 'sealed', 1, 'expires', at + retention)
if KEYS[12] then keep_job(KEYS[12], id, retention) end
list_job(id, fields[4], retention)
extend_expiry(UNFINISHED, retention)
expire_job(retention)
count(TOTALS, 'jobs:accepted')
if ended(fields[1]) then
    tell_recorder(id)
    publish_change(id, at)
    return {{}}
end
local ending = finish_if_complete(id, at)
if ending then return {{}, ending} end
publish_change(id, at)
local sent = hand_out(window, grace, at)
if redis.call('HGET', JOB, 'converting') == '1' then
    -- The conversion is handed out like a chunk; messages.CONVERSION is its number.
    redis.call('ZADD', INFLIGHT, at + grace, -1)
    redis.call('PEXPIRE', INFLIGHT, redis.call('PTTL', JOB))
    sent[#sent + 1] = -1
end
return {sent}
