-- Stores requests for single predictions and sends the task that answers them, unless too many wait.
-- KEYS: sorted set of waiting ids, the Celery queue, then a key per prediction. ARGV: lifetime, grace seconds, message,
-- maximum number of waiting requests, then an id, a request and an owner per prediction.
-- Returns nothing; or, if too many wait, the seconds for which the first of them has waited since it was last sent.
-- Atomic, and one round trip: the limit holds whatever else is submitted, and no request is stored but never sent.
local time = redis.call('TIME')
local due = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
    return tostring(due - tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]))
end
for position = 3, #KEYS do
    local id, request, owner = ARGV[3 * position - 4], ARGV[3 * position - 3], ARGV[3 * position - 2]
    redis.call('HSET', KEYS[position], 'request', request)
    if owner ~= '' then redis.call('HSET', KEYS[position], 'owner', owner) end
    redis.call('EXPIRE', KEYS[position], ARGV[1])
    redis.call('ZADD', KEYS[1], due, id)
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[1])
