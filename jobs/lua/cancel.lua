-- Ends a job or an upload that has not ended; answers the state it was found in, or false if there is none.
local id, state = ARGV[1], redis.call('HGET', JOB, 'state')
if not state or ended(state) then return state end
finish(id, 'canceled', now())
return state
