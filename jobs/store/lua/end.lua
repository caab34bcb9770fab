-- Cancels or fails a job or upload that has not ended.
-- KEYS: as in common.lua. ARGV: job id, new state, error and problem (empty: none).
-- Returns how the job ended, as finish() does, or false if it had ended or is gone.
-- Atomic: a job ends once, even if its last chunk is recorded at the same moment.
local id, new_state, message, problem = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local state = redis.call('HGET', JOB, 'state')
if not state or ended(state) then return false end
if message ~= '' then redis.call('HSET', JOB, 'error', message) end
if problem ~= '' then redis.call('HSET', JOB, 'problem', problem) end
return finish(id, new_state, now())
