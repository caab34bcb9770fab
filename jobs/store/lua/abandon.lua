-- Removes an upload that was refused or broke off.
-- KEYS: as in common.lua. ARGV: job id.
-- Returns 1 if it was removed; 0 if the upload is complete, or the job is visible and has ended.
-- Atomic: a `seal` that comes first must win, or a job that the client was promised would vanish.
local id, fields = ARGV[1], redis.call('HMGET', JOB, 'state', 'sealed', 'shown')
if fields[1] and (fields[2] == '1' or (fields[3] == '1' and ended(fields[1]))) then return 0 end
for position = 1, 8 do redis.call('UNLINK', KEYS[position]) end
redis.call('ZREM', UNFINISHED, id)
redis.call('PUBLISH', CHANGES .. id, '')
return 1
