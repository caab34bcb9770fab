-- The requests that still wait, each counted as one more attempt. KEYS: a key for each; answers attempt and request
-- in turn, 0 and an empty text for what is done or gone.
local taken = {}
for _, key in ipairs(KEYS) do
    local request = redis.call('HGET', key, 'request')
    taken[#taken + 1] = request and redis.call('HINCRBY', key, 'attempts', 1) or 0
    taken[#taken + 1] = request or ''
end
return taken
