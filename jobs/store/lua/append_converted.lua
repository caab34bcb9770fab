-- Stores one more chunk that a conversion has made.
-- KEYS: as in common.lua. ARGV: job id, number of the conversion, owner of its lease, lease seconds, chunk number,
-- encoded chunk, window, grace seconds, part of the file that is converted, rows converted.
-- Returns {chunks to send}; false if `owner` no longer holds the conversion, the job has ended, or a chunk
-- before it is missing.
-- Atomic: of two converters, only the one with the lease may add chunks, and `converted` is the last row of the last
-- chunk, after which another attempt goes on. A chunk that is there already, scored or not, stays as it is.
local id, conversion, owner, lease, number, data, window, grace, progress, rows = ARGV[1], ARGV[2], ARGV[3],
    tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10]
local fields = redis.call('HMGET', JOB, 'state', 'chunks', 'conversion')
if not fields[1] or ended(fields[1]) or redis.call('HGET', LEASES, conversion) ~= owner then return false end
if number > tonumber(fields[2]) then return false end
local at = now()
redis.call('ZADD', INFLIGHT, 'XX', at + lease, conversion)
if number == tonumber(fields[2]) then
    redis.call('HSET', INPUT, number, data)
    redis.call('HSET', JOB, 'chunks', number + 1, 'converted', rows)
    -- What a first attempt has shown is not taken back.
    if tonumber(progress) > tonumber(fields[3] or 0) then redis.call('HSET', JOB, 'conversion', progress) end
    publish_change(id, at)
end
return {hand_out(window, grace, at)}
