-- Put before each script: the keys of a job, in the order of keys.JobKeys.all(), and what several scripts do.
local JOB, INPUT, OUTPUT, REJECTS, INFLIGHT, LEASES, COUNTS, SUMMARY =
    KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local UNFINISHED, JOBS, TOTALS = KEYS[9], KEYS[10], KEYS[11]

local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function keep(seconds)
    for position = 1, 8 do redis.call('PEXPIRE', KEYS[position], seconds * 1000) end
end

-- Never shortens a life: what several jobs share lives as long as the longest.
local function extend(key, seconds)
    if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, seconds) end
end

local function ended(state)
    return state == 'succeeded' or state == 'failed' or state == 'canceled'
end

local function changed(id, at)
    redis.call('HSET', JOB, 'changed', at)
    redis.call('HINCRBY', JOB, 'revision', 1)
    redis.call('PUBLISH', 'scoreline:changes', id)
end

-- Whoever holds a chunk has it no more, and it is due at the given time; answers whether that was so. With `failed`, the
-- attempt at which it was has failed by the chunk's doing; otherwise its hold stays counted as lost.
local function put_down(chunk, owner, failed, due)
    local working, attempt = string.match(redis.call('HGET', COUNTS, 'at:' .. chunk) or '', '^(.*) (%d+)$')
    if not working or string.sub(working, 1, #owner) ~= owner then return false end
    redis.call('HDEL', COUNTS, 'at:' .. chunk)
    if failed then
        -- Of several that were at the same attempt at once, since their leases had run out, all are one.
        local failures = tonumber(redis.call('HGET', COUNTS, 'failures:' .. chunk) or 0)
        redis.call('HSET', COUNTS, 'failures:' .. chunk, math.max(failures, tonumber(attempt)))
        redis.call('HINCRBY', COUNTS, 'lost:' .. chunk, -1)
    end
    redis.call('HDEL', LEASES, chunk)
    redis.call('ZADD', INFLIGHT, 'XX', due, chunk)
    return true
end

-- The next chunks to send, so that at most `window` are under way.
local function hand_out(window, grace, at)
    local fields = redis.call('HMGET', JOB, 'next', 'chunks', 'done')
    local next_chunk, chunks, done = tonumber(fields[1]), tonumber(fields[2]), tonumber(fields[3])
    local sent = {}
    while next_chunk < chunks and next_chunk - done < window do
        redis.call('ZADD', INFLIGHT, at + grace, next_chunk)
        sent[#sent + 1] = next_chunk
        next_chunk = next_chunk + 1
    end
    if #sent > 0 then
        redis.call('HSET', JOB, 'next', next_chunk)
        redis.call('PEXPIRE', INFLIGHT, redis.call('PTTL', JOB))
    end
    return sent
end

-- Returns how the job ended: its state, its rows scored and rejected, and its milliseconds from the upload's beginning.
local function finish(id, state, at)
    local fields = redis.call('HMGET', JOB, 'retention', 'scored', 'rejected', 'created')
    local retention, seconds = tonumber(fields[1]), at - tonumber(fields[4])
    redis.call('HSET', JOB, 'state', state, 'finished', at, 'expires', at + retention)
    redis.call('ZREM', UNFINISHED, id)
    redis.call('UNLINK', INPUT, INFLIGHT, LEASES, COUNTS)
    keep(retention)
    extend(JOBS, retention)
    changed(id, at)
    count(TOTALS, 'jobs:' .. state)
    if state == 'succeeded' then count_time(TOTALS, 'job', seconds) end
    return {state, fields[2], fields[3], math.floor(seconds * 1000)}
end

local function finish_if_complete(id, at)
    local f = redis.call('HMGET', JOB, 'sealed', 'done', 'chunks', 'scored', 'scoring_failed')
    if f[1] ~= '1' or f[2] ~= f[3] then return false end
    if tonumber(f[4]) == 0 and tonumber(f[5]) > 0 then
        redis.call('HSET', JOB, 'error', 'no row could be scored')
        return finish(id, 'failed', at)
    end
    return finish(id, 'succeeded', at)
end
