-- Registers a process as alive.
-- KEYS: sorted set of the role's processes, by the time until which each counts as alive; hash of the versions that the
-- process cannot load. ARGV: process, seconds.
-- Atomic: expired members go with the write, so that the set never lists a process past its time.
local at = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at)
redis.call('ZADD', KEYS[1], at + tonumber(ARGV[2]), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
