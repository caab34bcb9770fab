-- Notes what a conversion has found at the beginning of the file: its header.
-- KEYS: as in common.lua. ARGV: number of the conversion, owner of its lease, then name and value of each field.
-- Returns 1 if `owner` holds the conversion, else 0.
-- Atomic: a converter whose lease has passed to another must not change the job.
local conversion, owner = ARGV[1], ARGV[2]
if ended(redis.call('HGET', JOB, 'state') or 'canceled') then return 0 end
if redis.call('HGET', LEASES, conversion) ~= owner then return 0 end
for position = 3, #ARGV, 2 do redis.call('HSET', JOB, ARGV[position], ARGV[position + 1]) end
return 1
