-- Releases requests whose worker process has died.
-- KEYS: a key per prediction. ARGV: 1 if the requests themselves were to blame, which uses up an attempt of each.
-- Returns the indexes, from 0, of those that still wait.
-- Atomic: a request answered just before must not be sent again.
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
