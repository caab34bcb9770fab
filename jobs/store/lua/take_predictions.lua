-- Takes requests that wait and that no worker holds.
-- KEYS: sorted set of waiting ids, then a key per prediction. ARGV: seconds for which the worker holds them, then an id
-- per prediction.
-- Returns three items per prediction: attempt (one more than the failures it caused), leases lost before, and the
-- request; 0, 0 and '' for one that is answered, expired or held. As in claim.lua, a hold counts as lost until it is
-- released.
-- Atomic: of two workers that ask, one gets the request.
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
