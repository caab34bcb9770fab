-- Stores one more chunk of an upload.
-- KEYS: as in common.lua. ARGV: chunk number, encoded chunk, window, grace seconds, seconds that the upload may stall,
-- and 1 to send nothing before the upload is complete.
-- Returns the chunks to send; a text saying how the job has ended meanwhile; LOST if a chunk before it is missing; or false if the upload has expired.
-- Atomic: the chunk, the chunk count and what is handed out must agree. A client that lost the reply may repeat the
-- call: the same chunk twice changes nothing.
local number, data, window, grace, idle, hold =
    tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local fields = redis.call('HMGET', JOB, 'state', 'chunks', 'retention', 'error')
if not fields[1] then return false end
if fields[1] == 'failed' then return 'failed: ' .. fields[4] end
if ended(fields[1]) then return 'was ' .. fields[1] end
if number < tonumber(fields[2]) then return {} end
if number > tonumber(fields[2]) then return LOST end
redis.call('HSET', INPUT, number, data)
redis.call('HSET', JOB, 'chunks', number + 1)
local sent = {}
if hold ~= '1' then sent = hand_out(window, grace, now()) end
expire_job(idle)
extend_expiry(UNFINISHED, tonumber(fields[3]))
return sent
