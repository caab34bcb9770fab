-- Ends a job or an upload that has not ended, as canceled or failed; answers the state it was found in, or false.
local id, as, message = ARGV[1], ARGV[2], ARGV[3]
local state = redis.call('HGET', JOB, 'state')
if not state or ended(state) then return state end
if message ~= '' then redis.call('HSET', JOB, 'error', message) end
finish(id, as, now())
return state
