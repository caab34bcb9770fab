-- The requests that still wait and are in nobody's hands, and are now in the caller's. Until it says what became of that,
-- its hold counts as lost. KEYS: the waiting set, then a key for each; ARGV: seconds for which they stay so, then an id
-- for each. Returns in turn: attempt (one more than the failures by the request's doing), holds lost before, and
-- request; 0, 0 and an empty text for what is done, gone or held.
local time = redis.call('TIME')
local at = tonumber(time[1]) + tonumber(time[2]) / 1000000
local until_ = at + tonumber(ARGV[1])
local taken = {}
for position = 2, #KEYS do
    local key = KEYS[position]
    local request, held, failures = unpack(redis.call('HMGET', key, 'request', 'held', 'failures'))
    local free = request and tonumber(held or 0) <= at
    if free then
        redis.call('HSET', key, 'held', until_)
        redis.call('ZADD', KEYS[1], 'XX', until_, ARGV[position])
    end
    taken[#taken + 1] = free and tonumber(failures or 0) + 1 or 0
    taken[#taken + 1] = free and redis.call('HINCRBY', key, 'lost', 1) - 1 or 0
    taken[#taken + 1] = free and request or ''
end
return taken
