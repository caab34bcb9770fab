-- Notes the protocol of the version that starts to use the store, unless another one uses it that does not go with it.
-- KEYS: the protocol, then the sorted sets of live processes by role. ARGV: the protocol of the version, lifetime in
-- seconds.
-- Returns nothing; or the protocol in the store and, if that is older, the live processes.
-- Atomic: of two versions that start at once, one comes first.
-- Versions from before there was a number have the first.
local own, stored = tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or 1)
local refusal = {stored}
if stored > own then return refusal end
if stored < own then
    local at = redis.call('TIME')[1]
    for position = 2, #KEYS do
        for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[position], '(' .. at, '+inf')) do
            refusal[#refusal + 1] = process
        end
    end
    if #refusal > 1 then return refusal end
end
redis.call('SET', KEYS[1], own, 'EX', ARGV[2])
