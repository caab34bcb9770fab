-- Put before scripts that count: the totals of the service are counted in the same step as what they count moves.
local TOTALS_SECONDS = 90 * 86400
local SHORTEST_BUCKET, BUCKETS = 10, 21

local function count(totals, field, by)
    redis.call('HINCRBY', totals, field, by or 1)
    -- Renewed now and then: every count would be written to disk twice.
    if redis.call('TTL', totals) < TOTALS_SECONDS / 2 then redis.call('EXPIRE', totals, TOTALS_SECONDS) end
end

-- A time in a histogram: in the first bucket that holds it, each twice as long as the one before; the last holds all.
local function count_time(totals, name, seconds)
    local milliseconds = math.floor(math.max(0, seconds) * 1000)
    local bucket, bound = 0, SHORTEST_BUCKET
    while milliseconds > bound and bucket < BUCKETS do
        bucket, bound = bucket + 1, 2 * bound
    end
    count(totals, name .. ':bucket:' .. bucket)
    count(totals, name .. ':milliseconds', milliseconds)
end
