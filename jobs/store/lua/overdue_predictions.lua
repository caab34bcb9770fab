-- Finds requests for predictions to send again: sent some time ago and not answered.
-- KEYS: sorted set of waiting ids, totals. ARGV: prefix of the predictions' keys, upper and lower bound of the resend
-- interval in seconds.
-- Returns up to 1,000 ids; each resend doubles the interval until the next.
-- Atomic: a request answered just before must not be sent again.
local time = redis.call('TIME')
local at = tonumber(time[1]) + tonumber(time[2]) / 1000000
local overdue = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', at, 'LIMIT', 0, 1000)) do
    local key = ARGV[1] .. id
    if redis.call('HEXISTS', key, 'request') == 0 then
        redis.call('ZREM', KEYS[1], id)
    else
        local sent = redis.call('HINCRBY', key, 'sent', 1)
        redis.call('ZADD', KEYS[1], at + math.min(tonumber(ARGV[2]), tonumber(ARGV[3]) * 2 ^ sent), id)
        overdue[#overdue + 1] = id
    end
end
if #overdue > 0 then count(KEYS[2], 'predictions:sent_again', #overdue) end
return overdue
