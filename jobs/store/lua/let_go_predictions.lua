-- Requests are in nobody's hands any more, since whoever had them has died; answers the places of those that still wait.
-- KEYS: a key for each; ARGV: 1 if that was by their doing, and so a failure of each.
local waiting = {}
for position, key in ipairs(KEYS) do
    if redis.call('HEXISTS', key, 'request') == 1 then
        redis.call('HDEL', key, 'held')
        if ARGV[1] == '1' then
            redis.call('HINCRBY', key, 'failures', 1)
            if tonumber(redis.call('HGET', key, 'lost') or 0) > 0 then redis.call('HINCRBY', key, 'lost', -1) end
        end
        waiting[#waiting + 1] = position - 1
    end
end
return waiting
