-- Stores requests for single predictions, and sends the task that answers them all; or, if too many wait already, answers
-- for how many seconds the first of these has waited since it was sent last, and stores nothing.
-- KEYS: the waiting set, Celery's queue, then a key for each; ARGV: lifetime, grace, message, most that may wait, then
-- an id and a request for each.
local time = redis.call('TIME')
local due = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
    return tostring(due - tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]))
end
for position = 3, #KEYS do
    local id, request = ARGV[2 * position - 1], ARGV[2 * position]
    redis.call('HSET', KEYS[position], 'request', request)
    redis.call('EXPIRE', KEYS[position], ARGV[1])
    redis.call('ZADD', KEYS[1], due, id)
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[1])
