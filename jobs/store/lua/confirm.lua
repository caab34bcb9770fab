-- Notes that a job is about to be acknowledged, if its upload is complete.
-- KEYS: hash of the job. Returns 1, or 0 if the server does not have the job, as one may that has become the primary.
-- What it writes comes after all of the job: a replica that has it has the job.
local JOB = KEYS[1]
if redis.call('HGET', JOB, 'sealed') ~= '1' then return 0 end
redis.call('HINCRBY', JOB, 'confirmed', 1)
return 1
