-- Prepended to scripts that count. Totals of the service are incremented by the script that does what they count, so
-- that no crash can come between the two. scripts.py defines SHORTEST_BUCKET_MS and BUCKETS.
local TOTALS_SECONDS = 90 * 86400

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
