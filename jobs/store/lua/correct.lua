-- Creates a job that corrects rejected rows of another one, which has succeeded.
-- KEYS: as in common.lua, then KEYS[12..19]: the keys of the corrected job in the same order, then optionally KEYS[20]:
-- hash of the idempotency key. ARGV: job id, id of the corrected job, window, grace seconds, retention seconds,
-- fingerprint, rows to correct, those among them on which the model had failed, id and name of the owner, visibility,
-- traceparent of the request (empty: none); then number and encoded rows of each chunk with corrections.
-- Returns {chunks to send}; false if the corrected job is gone; or 'first <job id> <fingerprint>' if another request
-- under the idempotency key was complete before.
-- Atomic: the new job begins as a copy of the other one, so that nothing that happens to that one later, such as its
-- deletion, can harm it. Chunks with corrections get back into the input, beside what they replace; all others are done.
-- Repeating the call changes nothing.
local id, corrects, window, grace, retention = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local P_JOB, P_OUTPUT, P_REJECTS, P_SUMMARY = KEYS[12], KEYS[14], KEYS[15], KEYS[19]
if redis.call('EXISTS', JOB) == 1 then return {{}} end
if redis.call('HGET', P_JOB, 'state') ~= 'succeeded' then return false end
if KEYS[20] then
    local first = first_upload(KEYS[20], id)
    if first then return first end
end
redis.call('COPY', P_JOB, JOB)
redis.call('COPY', P_OUTPUT, OUTPUT)
redis.call('COPY', P_REJECTS, REJECTS)
redis.call('COPY', P_SUMMARY, SUMMARY)
local corrected = 0
for position = 13, #ARGV, 2 do
    local chunk = ARGV[position]
    redis.call('HSET', INPUT, chunk, ARGV[position + 1], chunk .. ':output', redis.call('HGET', OUTPUT, chunk),
        chunk .. ':rejects', redis.call('HGET', REJECTS, chunk))
    redis.call('HDEL', OUTPUT, chunk)
    redis.call('HDEL', REJECTS, chunk)
    corrected = corrected + 1
end
local at = now()
redis.call('HDEL', JOB, 'started', 'finished', 'error', 'fingerprint', 'corrected_by', 'traceparent')
redis.call('HSET', JOB, 'state', 'queued', 'corrects', corrects, 'fingerprint', ARGV[6], 'created', at, 'changed', at)
redis.call('HSET', JOB, 'expires', at + retention, 'retention', retention, 'revision', 0, 'next', 0, 'shown', 0)
redis.call('HSET', JOB, 'owner', ARGV[9], 'owner_name', ARGV[10], 'visibility', ARGV[11])
if ARGV[12] ~= '' then redis.call('HSET', JOB, 'traceparent', ARGV[12]) end
-- Not `-x`: of zero, that is -0, which Redis 7.0 does not take for an integer.
redis.call('HINCRBY', JOB, 'done', 0 - corrected)
redis.call('HINCRBY', JOB, 'rejected', 0 - ARGV[7])
redis.call('HINCRBY', JOB, 'scoring_failed', 0 - ARGV[8])
-- What was copied may refer to objects of the other job, and of those that it corrects.
redis.call('HSET', JOB, 'blobs', (redis.call('HGET', P_JOB, 'blobs') or '') .. ' ' .. corrects)
local others = redis.call('HGET', P_JOB, 'corrected_by')
redis.call('HSET', P_JOB, 'corrected_by', others and others .. ' ' .. id or id)
if KEYS[20] then keep_job(KEYS[20], id, retention) end
list_job(id, at, retention)
redis.call('ZADD', UNFINISHED, at, id)
extend_expiry(UNFINISHED, retention)
expire_job(retention)
count(TOTALS, 'jobs:accepted')
publish_change(id, at)
return {hand_out(window, grace, at)}
