-- Prepended to scripts that count. Totals of the service are incremented by the script that does what they count, so
-- that no crash can come between the two. scripts.py defines SHORTEST_BUCKET_MS and BUCKETS.
local TOTALS_SECONDS = 90 * 86400
-- What workers of the version before count is 'prediction_milliseconds'.
local MODEL_COUNTS = {
    'scored', 'rejected', 'chunks', 'chunk_milliseconds', 'answered', 'failed', 'prediction_microseconds',
    'prediction_milliseconds',
}

local function count(totals, field, by)
    redis.call('HINCRBY', totals, field, by or 1)
    -- Renewed only now and then: an EXPIRE with each count would double the writes to the append-only file.
    if redis.call('TTL', totals) < TOTALS_SECONDS / 2 then redis.call('EXPIRE', totals, TOTALS_SECONDS) end
end

-- Counts a duration in a histogram whose buckets double in width; the last bucket holds whatever is longer.
local function count_time(totals, name, seconds)
    local milliseconds = math.floor(math.max(0, seconds) * 1000)
    local bucket, bound = 0, SHORTEST_BUCKET_MS
    while milliseconds > bound and bucket < BUCKETS do
        bucket, bound = bucket + 1, 2 * bound
    end
    count(totals, name .. ':bucket:' .. bucket)
    count(totals, name .. ':milliseconds', milliseconds)
end

-- Adds to the totals of a version ("<model>@<version>"), given as names and numbers in turn. How many versions have totals
-- is bounded: those that were used last.
local function count_model(version, totals)
    for position = 1, #totals, 2 do
        if totals[position + 1] ~= 0 then
            redis.call('HINCRBY', MODEL_TOTALS, version .. ' ' .. totals[position], totals[position + 1])
        end
    end
    local at = tonumber(redis.call('TIME')[1])
    -- Noted once a minute only, as the lifetime is renewed now and then.
    if tonumber(redis.call('ZSCORE', COUNTED, version) or 0) > at - 60 then return end
    redis.call('ZADD', COUNTED, at, version)
    if redis.call('ZCARD', COUNTED) > MAX_COUNTED then
        local oldest = redis.call('ZPOPMIN', COUNTED)[1]
        for _, name in ipairs(MODEL_COUNTS) do redis.call('HDEL', MODEL_TOTALS, oldest .. ' ' .. name) end
    end
    for _, key in ipairs({MODEL_TOTALS, COUNTED}) do redis.call('EXPIRE', key, TOTALS_SECONDS) end
end
