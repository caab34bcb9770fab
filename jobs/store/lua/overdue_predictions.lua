-- Ids that were sent a while ago and have no result yet; each sending doubles the time until the next.
-- KEYS: the waiting set, the totals; ARGV: prefix of the predictions' keys, longest time, shortest time.
local time = redis.call('TIME')
local at = tonumber(time[1]) + tonumber(time[2]) / 1000000
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', at, 'LIMIT', 0, 1000)) do
    local key = ARGV[1] .. id
    if redis.call('HEXISTS', key, 'request') == 0 then
        redis.call('ZREM', KEYS[1], id)
    else
        local sent = redis.call('HINCRBY', key, 'sent', 1)
        redis.call('ZADD', KEYS[1], at + math.min(tonumber(ARGV[2]), tonumber(ARGV[3]) * 2 ^ sent), id)
        found[#found + 1] = id
    end
end
if #found > 0 then count(KEYS[2], 'predictions:sent_again', #found) end
return found
