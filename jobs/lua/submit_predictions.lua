-- Stores requests for single predictions. KEYS: the waiting set, then a key for each; ARGV: lifetime, grace, then an
-- id and a request for each.
local time = redis.call('TIME')
local due = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[2])
for position = 2, #KEYS do
    local id, request = ARGV[2 * position - 1], ARGV[2 * position]
    redis.call('HSET', KEYS[position], 'request', request)
    redis.call('EXPIRE', KEYS[position], ARGV[1])
    redis.call('ZADD', KEYS[1], due, id)
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
