-- Records a scored chunk unless it has a result.
-- KEYS: as in common.lua. ARGV: job id, chunk, compressed output, compressed rejects (empty: none), then rows scored,
-- rejected, rejected because scoring failed, scored with a warning, and repaired; window, grace seconds, size of the
-- output before it was compressed, owner of the lease (empty: whoever records first); then name and count of each
-- summary count.
-- Returns {'gone'}, {'ended'}, {'done'} or {'lost'} where nothing was stored; else {'recorded', chunks to send[, how the
-- job ended]}.
-- Atomic: this is what makes results exactly-once. The result, the counters, the end of the job and the next chunks
-- move together, so that a crash before or after leaves a consistent job, and the same chunk twice changes nothing.
-- The numbers of repaired rows are kept until the job had as many as MAX_REPAIRED before the chunk.
local MAX_REPAIRED = 10000
local id, chunk, at = ARGV[1], ARGV[2], now()
local state = redis.call('HGET', JOB, 'state')
if not state then return {'gone'} end
if ended(state) then return {'ended'} end
if redis.call('HEXISTS', OUTPUT, chunk) == 1 then return {'done'} end
-- Output that is a reference: the object of a worker that has lost its lease may have been swept already.
if ARGV[13] ~= '' and redis.call('HGET', LEASES, chunk) ~= ARGV[13] then return {'lost'} end
redis.call('HSET', OUTPUT, chunk, ARGV[3], 'size:' .. chunk, ARGV[12])
if ARGV[4] ~= '' then redis.call('HSET', REJECTS, chunk, ARGV[4]) end
-- The output replaces the input; what was known about attempts and leases has served its purpose.
redis.call('HDEL', INPUT, chunk, chunk .. ':output', chunk .. ':rejects')
redis.call('ZREM', INFLIGHT, chunk)
redis.call('HDEL', LEASES, chunk)
local claimed = redis.call('HGET', COUNTS, 'claimed:' .. chunk)
for _, kind in ipairs({'at:', 'failures:', 'lost:', 'sent:', 'missed:', 'claimed:'}) do
    redis.call('HDEL', COUNTS, kind .. chunk)
end
redis.call('HDEL', COUNTS, 'unable') -- a worker that can load the model lives
redis.call('HINCRBY', JOB, 'done', 1)
redis.call('HINCRBY', JOB, 'scored', ARGV[5])
redis.call('HINCRBY', JOB, 'rejected', ARGV[6])
redis.call('HINCRBY', JOB, 'scoring_failed', ARGV[7])
redis.call('HINCRBY', JOB, 'warned', ARGV[8])
local repaired = redis.call('HINCRBY', JOB, 'repaired', ARGV[9]) - ARGV[9]
for position = 14, #ARGV, 2 do
    local name = ARGV[position]
    if repaired < MAX_REPAIRED or string.sub(name, 1, 9) ~= 'repaired:' then
        -- Of corrected rows, what counted before is subtracted.
        if redis.call('HINCRBY', SUMMARY, name, ARGV[position + 1]) == 0 then
            redis.call('HDEL', SUMMARY, name)
        end
    end
end
local life = redis.call('PTTL', JOB)
for _, key in ipairs({OUTPUT, REJECTS, SUMMARY}) do redis.call('PEXPIRE', key, life) end
count(TOTALS, 'chunks:recorded')
for position, name in ipairs({'scored', 'rejected', 'scoring_failed', 'warned'}) do
    if ARGV[4 + position] ~= '0' then count(TOTALS, 'rows:' .. name, ARGV[4 + position]) end
end
local seconds = claimed and at - tonumber(claimed) or 0
if claimed then count_time(TOTALS, 'chunk', seconds) end
local models = redis.call('HMGET', JOB, 'model', 'version', 'compared')
local versions = {(models[1] or '') .. '@' .. (models[2] or '')}
if models[3] and models[3] ~= '' and models[3] ~= versions[1] then versions[2] = models[3] end
for _, version in ipairs(versions) do
    count_model(version, {
        'scored', tonumber(ARGV[5]), 'rejected', tonumber(ARGV[6]),
        'chunks', 1, 'chunk_milliseconds', math.floor(math.max(0, seconds) * 1000),
    })
end
local ending = finish_if_complete(id, at)
if ending then return {'recorded', {}, ending} end
publish_change(id, at)
return {'recorded', hand_out(tonumber(ARGV[10]), tonumber(ARGV[11]), at)}
