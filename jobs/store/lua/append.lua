-- Stores one more chunk of an upload; answers the chunks to send, how a job has ended meanwhile, or
-- false if the upload was forgotten.
-- Sent twice, the same chunk changes nothing. With `hold`, nothing is sent before the upload is whole.
local number, data, window, grace, idle, hold =
    tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local fields = redis.call('HMGET', JOB, 'state', 'chunks', 'retention', 'error')
if not fields[1] then return false end
if fields[1] == 'failed' then return 'failed: ' .. fields[4] end
if ended(fields[1]) then return 'was ' .. fields[1] end
if number < tonumber(fields[2]) then return {} end
redis.call('HSET', INPUT, number, data)
redis.call('HSET', JOB, 'chunks', number + 1)
local sent = {}
if hold ~= '1' then sent = hand_out(window, grace, now()) end
keep(idle)
extend(UNFINISHED, tonumber(fields[3]))
return sent
