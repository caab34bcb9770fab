-- Extends the lease on a chunk.
-- KEYS: as in common.lua. ARGV: chunk, owner, lease seconds.
-- Returns 1 if `owner` holds the chunk, else 0.
-- Atomic: a lease that has passed to another task must not be extended for that one.
local chunk, owner, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HGET', LEASES, chunk) ~= owner then return 0 end
redis.call('ZADD', INFLIGHT, 'XX', now() + lease, chunk)
return 1
