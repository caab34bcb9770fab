-- Leases a chunk to a worker.
-- KEYS: as in common.lua. ARGV: job id, chunk, task id, delivery, lease seconds.
-- Returns {'gone'}, {'ended'}, {'done'} or {'leased'} where there is nothing to do; {'foreign'} if a newer version began
-- the job, whose protocol this one does not know; else {'yours', attempt, lost
-- leases, encoded chunk, fields of the job, 1 if the job starts with this chunk, and the results and rejects that the
-- chunk replaces, if it corrects rows}.
-- Atomic: of several tasks for one chunk, exactly one may score it.
--
-- Two counters decide how carefully a chunk is scored. `attempt` is one more than the failures that the chunk itself
-- caused: the model raised, the process crashed, the time ran out. `lost` counts leases that ended without a report, by
-- a killed process, a dead host or an unreachable store, which say nothing about the chunk. Each lease counts as lost
-- from the beginning until a script learns better.
local id, chunk, task, delivery, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local owner = task .. ' ' .. delivery
local state = redis.call('HGET', JOB, 'state')
if not state then return {'gone'} end
if ended(state) then return {'ended'} end
if tonumber(redis.call('HGET', JOB, 'protocol') or 1) > PROTOCOL then return {'foreign'} end
if redis.call('HEXISTS', OUTPUT, chunk) == 1 then return {'done'} end
local at = now()
local holder = redis.call('HGET', LEASES, chunk)
local live = holder and tonumber(redis.call('ZSCORE', INFLIGHT, chunk) or 0) > at
-- A redelivered task takes over its own lease: the process that held it is gone.
if live and string.sub(holder, 1, #task + 1) ~= task .. ' ' then return {'leased'} end
local data = redis.call('HGET', INPUT, chunk)
if not data then return {'gone'} end
-- One delivery asks twice when the first reply was lost on the way: that is one lease.
local repeated = redis.call('HGET', COUNTS, 'at:' .. chunk)
repeated = repeated and string.sub(repeated, 1, #owner + 1) == owner .. ' '
local lost = redis.call('HINCRBY', COUNTS, 'lost:' .. chunk, repeated and 0 or 1) - 1
local attempt = tonumber(redis.call('HGET', COUNTS, 'failures:' .. chunk) or 0) + 1
if not repeated and redis.call('HEXISTS', COUNTS, 'claimed:' .. chunk) == 1 then count(TOTALS, 'chunks:retried') end
redis.call('HSET', LEASES, chunk, owner)
redis.call('HSET', COUNTS, 'claimed:' .. chunk, at, 'at:' .. chunk, owner .. ' ' .. attempt)
redis.call('ZADD', INFLIGHT, at + lease, chunk)
-- Keys that this script may have created expire with the job.
local life = redis.call('PTTL', JOB)
for _, key in ipairs({LEASES, COUNTS, INFLIGHT}) do redis.call('PEXPIRE', key, life) end
local starts = state == 'queued'
if starts then
    redis.call('HSET', JOB, 'state', 'running', 'started', at)
    publish_change(id, at)
end
local replaced = redis.call('HMGET', INPUT, chunk .. ':output', chunk .. ':rejects')
return {'yours', attempt, lost, data, redis.call('HGETALL', JOB), starts and 1 or 0, replaced[1], replaced[2]}
