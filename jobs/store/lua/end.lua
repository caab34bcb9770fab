-- Ends a job or an upload that has not ended, as canceled or failed; answers how it ended, or false.
local id, as, message = ARGV[1], ARGV[2], ARGV[3]
local state = redis.call('HGET', JOB, 'state')
if not state or ended(state) then return false end
if message ~= '' then redis.call('HSET', JOB, 'error', message) end
return finish(id, as, now())
