-- Makes a version of a model the current one.
-- KEYS: hash of all models; hash of the model; mark of the attempt that published the objects. ARGV: name, version,
-- encoded manifest, 1 to change nothing if the model has a version.
-- Returns the version that is current then; nothing if the version is not there and the mark has gone.
-- Atomic: of several hosts that find the store without a model, one decides which version all of them use. A version that
-- is there stays as it is: hosts may have fetched it. Objects without a mark may have been swept, and are never referred to.
local marked = redis.call('DEL', KEYS[3]) == 1
local current = redis.call('HGET', KEYS[2], 'current')
if current and ARGV[4] == '1' then return current end
if redis.call('HEXISTS', KEYS[2], 'version:' .. ARGV[2]) == 0 then
    if not marked then return false end
    redis.call('HSET', KEYS[2], 'version:' .. ARGV[2], ARGV[3])
end
redis.call('HSET', KEYS[2], 'current', ARGV[2])
redis.call('HDEL', KEYS[1], 'removed:' .. ARGV[1], 'removed:' .. ARGV[1] .. ':' .. ARGV[2])
redis.call('HSET', KEYS[1], 'model:' .. ARGV[1], redis.call('HINCRBY', KEYS[1], 'revision', 1))
return ARGV[2]
