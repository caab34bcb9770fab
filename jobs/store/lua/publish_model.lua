-- Makes a version of a model the current one.
-- KEYS: hash of all models; hash of the model. ARGV: name, version, encoded manifest, 1 to change nothing if the model
-- has a version.
-- Returns the version that is current then.
-- Atomic: of several hosts that find the store without a model, one decides which version all of them use. A version that
-- is there stays as it is: hosts may have fetched it.
local current = redis.call('HGET', KEYS[2], 'current')
if current and ARGV[4] == '1' then return current end
redis.call('HSETNX', KEYS[2], 'version:' .. ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], 'current', ARGV[2])
redis.call('HDEL', KEYS[1], 'removed:' .. ARGV[1], 'removed:' .. ARGV[1] .. ':' .. ARGV[2])
redis.call('HSET', KEYS[1], 'model:' .. ARGV[1], redis.call('HINCRBY', KEYS[1], 'revision', 1))
return ARGV[2]
