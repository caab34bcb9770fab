-- Counts the unfinished jobs of an owner, uploads included.
-- KEYS: sorted set of unfinished jobs. ARGV: prefix of the jobs' keys, id of the owner.
-- Counted anew each time: a counter would have to survive uploads that expire.
local found = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if redis.call('HGET', ARGV[1] .. id, 'owner') == ARGV[2] then found = found + 1 end
end
return found
