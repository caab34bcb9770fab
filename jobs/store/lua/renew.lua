-- A worker keeps its hold on a chunk for another lease; answers 1 if it has one.
local chunk, owner, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HGET', LEASES, chunk) ~= owner then return 0 end
redis.call('ZADD', INFLIGHT, 'XX', now() + lease, chunk)
return 1
