-- Makes a chunk due soon whose message the worker does not understand: it may be for another version of Scoreline.
-- KEYS: as in common.lua. ARGV: chunk, seconds until the chunk is due.
-- Returns 1 if the chunk waits for a worker, else 0. No attempt is counted, nor a lost lease.
-- Atomic: the chunk may have been leased or recorded just before.
local chunk, pause = ARGV[1], tonumber(ARGV[2])
if redis.call('HEXISTS', LEASES, chunk) == 1 or not redis.call('ZSCORE', INFLIGHT, chunk) then return 0 end
redis.call('ZADD', INFLIGHT, 'XX', now() + pause, chunk)
-- Its message is gone: overdue.lua sends another one as soon as the chunk is due.
redis.call('HSET', COUNTS, 'missed:' .. chunk, 1)
redis.call('PEXPIRE', COUNTS, redis.call('PTTL', JOB))
return 1
