-- Ends a conversion: the number of rows is known, and the uploaded file is dropped.
-- KEYS: as in common.lua. ARGV: job id, number of the conversion, owner of its lease, window, grace seconds, number of
-- the file's blocks, number of chunks, then name and value of each field that is known only now.
-- Returns {chunks to send[, how the job ended]}; false if `owner` no longer holds the conversion, the job has ended, or
-- a chunk is missing.
-- Atomic: the job must not end before its last chunk is stored, and not miss its end if all of them are recorded.
local id, conversion, owner, window, grace, blocks, chunks =
    ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
if ended(redis.call('HGET', JOB, 'state') or 'canceled') then return false end
if redis.call('HGET', LEASES, conversion) ~= owner then return false end
if redis.call('HGET', JOB, 'chunks') ~= chunks then return false end
for position = 8, #ARGV, 2 do redis.call('HSET', JOB, ARGV[position], ARGV[position + 1]) end
redis.call('HDEL', JOB, 'converting')
redis.call('HDEL', INPUT, conversion)
for number = 0, blocks - 1 do redis.call('HDEL', INPUT, 'source:' .. number) end
redis.call('ZREM', INFLIGHT, conversion)
redis.call('HDEL', LEASES, conversion)
for _, kind in ipairs({'at:', 'failures:', 'lost:', 'sent:', 'missed:', 'claimed:'}) do
    redis.call('HDEL', COUNTS, kind .. conversion)
end
local at = now()
local ending = finish_if_complete(id, at)
if ending then return {{}, ending} end
publish_change(id, at)
return {hand_out(window, grace, at)}
