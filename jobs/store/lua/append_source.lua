-- Stores one more block of an uploaded file that will be converted to CSV.
-- KEYS: as in common.lua. ARGV: block number, the block, the encoded description of all blocks so far (which the
-- conversion claims like a chunk), its number, seconds that the upload may stall.
-- Returns 1; a text saying how the job has ended meanwhile; LOST if the block before it is missing; or false if the upload has expired.
-- Atomic: the block and the number of blocks must agree.
local number, block, blocks, conversion, idle = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local fields = redis.call('HMGET', JOB, 'state', 'retention')
if not fields[1] then return false end
if ended(fields[1]) then return 'was ' .. fields[1] end
if number ~= '0' and redis.call('HEXISTS', INPUT, 'source:' .. number - 1) == 0 then return LOST end
redis.call('HSET', INPUT, 'source:' .. number, block, conversion, blocks)
expire_job(idle)
extend_expiry(UNFINISHED, tonumber(fields[2]))
return {1}
