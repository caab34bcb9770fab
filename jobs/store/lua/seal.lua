-- Marks an upload as complete: from here on the job is visible, and no crash loses it.
-- KEYS: as in common.lua, then optionally KEYS[12]: hash of the upload's idempotency key. ARGV: job id, window, grace
-- seconds, then name and value of each field that is known only now.
-- Returns {chunks to send[, how the job ended]}; false if the upload has expired; 'was canceled'; or
-- 'first <job id> <fingerprint>' if another upload under the idempotency key was complete before.
-- A job that failed meanwhile becomes visible with its error, like one that fails later.
-- The lists of the owner and of the team have the key of all jobs and what keys.jobs_of and keys.TEAM_JOBS append.
-- Atomic: the job, its place in the lists and its idempotency key appear together. Repeating the call changes nothing.
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
    -- No moment in which the job exists and its idempotency key does not know it.
    redis.call('HSET', KEYS[12], 'job', id, 'fingerprint', redis.call('HGET', JOB, 'fingerprint'))
    redis.call('EXPIRE', KEYS[12], retention)
end
local lists, whose = {JOBS}, redis.call('HMGET', JOB, 'owner', 'visibility')
if whose[1] and whose[1] ~= '' then lists[#lists + 1] = JOBS .. ':owner:' .. whose[1] end
if whose[2] == 'team' then lists[#lists + 1] = JOBS .. ':team' end
for _, list in ipairs(lists) do
    redis.call('ZADD', list, fields[4], id)
    extend_expiry(list, retention)
end
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
return {hand_out(window, grace, at)}
