-- Keeps a slow upload from expiring.
-- KEYS: as in common.lua. ARGV: seconds that the upload may stall.
-- Atomic: the keys of a job that has just become complete or has ended must not get the short lifetime of an upload.
local fields = redis.call('HMGET', JOB, 'state', 'sealed')
if fields[1] and fields[2] ~= '1' and not ended(fields[1]) then expire_job(tonumber(ARGV[1])) end
