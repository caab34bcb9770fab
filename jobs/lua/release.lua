-- A worker gives a chunk back, or (with a lease time) renews its hold; answers 1 if it held the chunk.
local chunk, owner, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HGET', LEASES, chunk) ~= owner then return 0 end
if lease == 0 then redis.call('HDEL', LEASES, chunk) end
redis.call('ZADD', INFLIGHT, 'XX', now() + lease, chunk)
return 1
