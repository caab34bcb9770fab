-- Releases a leased chunk that the object store keeps from being scored or recorded, which is not the chunk's fault.
-- KEYS: as in common.lua. ARGV: chunk, owner, seconds until the chunk is due again.
-- Returns 1 if `owner` held the chunk, else 0.
-- Atomic: the lease may have passed to another task just before.
local chunk, owner, pause = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not release_chunk(chunk, owner, false, now() + pause) then return 0 end
-- The worker reported what became of its lease, so it does not count as lost.
redis.call('HINCRBY', COUNTS, 'lost:' .. chunk, -1)
-- Its message is gone: overdue.lua sends another one as soon as the chunk is due.
redis.call('HSET', COUNTS, 'missed:' .. chunk, 1)
return 1
