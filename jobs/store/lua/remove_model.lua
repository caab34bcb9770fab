-- Removes a version of a model, or (empty) the model.
-- KEYS: hash of all models; hash of the model. ARGV: name, version.
-- Returns 1, or 0 if it is not there or is the current version.
-- That it was removed is noted: hosts delete what was removed, and never what a store does not know for another reason.
-- Atomic: another host may make the version the current one.
if redis.call('EXISTS', KEYS[2]) == 0 or redis.call('HGET', KEYS[2], 'current') == ARGV[2] then return 0 end
if ARGV[2] == '' then
    redis.call('DEL', KEYS[2])
    redis.call('HDEL', KEYS[1], 'model:' .. ARGV[1])
else
    redis.call('HDEL', KEYS[2], 'version:' .. ARGV[2])
end
local what = ARGV[1] .. (ARGV[2] == '' and '' or ':' .. ARGV[2])
redis.call('HSET', KEYS[1], 'removed:' .. what, redis.call('HINCRBY', KEYS[1], 'revision', 1))
return 1
