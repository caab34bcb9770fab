-- Counts rows of an owner on a day, unless they would exceed the limit.
-- KEYS: the owner's count of the day. ARGV: rows, limit, lifetime in seconds.
-- Returns 1 if they were counted.
-- Atomic: uploads that end at once share one limit.
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
if used + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return 0 end
redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
