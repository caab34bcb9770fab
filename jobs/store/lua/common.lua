-- Prepended to every script about a job, after totals.lua and outbox.lua. Names the keys and holds what several scripts do.
-- KEYS[1..8]: the job's keys in the order of keys.JobKeys.all(); KEYS[9..11]: unfinished jobs, visible jobs, totals.
--
-- Redis runs a script as one step: no other command comes in between, and with `appendfsync always` its writes are
-- on disk together before the caller gets the reply. All decisions about a job are made in these scripts, since
-- Celery may deliver a message twice, late or never, and several workers may ask about one chunk at a time.
local JOB, INPUT, OUTPUT, REJECTS, INFLIGHT, LEASES, COUNTS, SUMMARY =
    KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local UNFINISHED, JOBS, TOTALS = KEYS[9], KEYS[10], KEYS[11]

-- The server's clock: hosts need not agree on the time.
local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Sets the lifetime of all keys of the job.
local function expire_job(seconds)
    for position = 1, 8 do redis.call('PEXPIRE', KEYS[position], seconds * 1000) end
end

-- Lengthens the lifetime of a key shared by several jobs; never shortens it.
local function extend_expiry(key, seconds)
    if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, seconds) end
end

local function ended(state)
    return state == 'succeeded' or state == 'failed' or state == 'canceled'
end

-- Notes that the job has changed and wakes the web processes that wait for it.
local function publish_change(id, at)
    redis.call('HSET', JOB, 'changed', at)
    redis.call('HINCRBY', JOB, 'revision', 1)
    redis.call('PUBLISH', CHANGES, id)
end

-- Ends the lease of `owner` on a chunk, which becomes due at the given time; returns whether `owner` held it. `owner`
-- is a prefix: a task and its delivery, or the task alone. With `failed`, the attempt failed because of the chunk
-- itself; otherwise the lease stays counted as lost.
local function release_chunk(chunk, owner, failed, due)
    -- 'at:' holds the latest lease as "<task> <delivery> <attempt>", also after it has expired.
    local holder, attempt = string.match(redis.call('HGET', COUNTS, 'at:' .. chunk) or '', '^(.*) (%d+)$')
    if not holder or string.sub(holder, 1, #owner) ~= owner then return false end
    redis.call('HDEL', COUNTS, 'at:' .. chunk)
    if failed then
        -- The maximum, not an increment: tasks that ran the same attempt in parallel, after a lease expired, are one
        -- failure.
        local failures = tonumber(redis.call('HGET', COUNTS, 'failures:' .. chunk) or 0)
        redis.call('HSET', COUNTS, 'failures:' .. chunk, math.max(failures, tonumber(attempt)))
        redis.call('HINCRBY', COUNTS, 'lost:' .. chunk, -1)
    end
    redis.call('HDEL', LEASES, chunk)
    redis.call('ZADD', INFLIGHT, 'XX', due, chunk)
    return true
end

-- Marks the next chunks as sent, up to `window` in flight, and returns their numbers. A sent chunk is due again after
-- `grace` seconds, in case its message is lost. The window makes jobs take turns: a small file never waits for all of a
-- large one.
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

-- Tells the recorder how the job ended, with all that the database keeps of it.
local function tell_recorder(id)
    local names = {
        'owner', 'visibility', 'model', 'version', 'compared', 'filename', 'threshold', 'size', 'total', 'scored',
        'rejected', 'warned', 'created', 'started', 'finished', 'state', 'error',
    }
    local entry = {'kind', 'job', 'id', id}
    for position, value in ipairs(redis.call('HMGET', JOB, unpack(names))) do
        entry[#entry + 1] = names[position]
        entry[#entry + 1] = value or ''
    end
    entry[#entry + 1] = 'summary'
    entry[#entry + 1] = cjson.encode(redis.call('HGETALL', SUMMARY))
    add_to_outbox(TOTALS, entry)
end

-- Ends the job: keeps its results for the retention time and drops what only scoring needed. Returns its state, rows
-- scored, rows rejected, and milliseconds since the upload began; job_log.log_end logs them.
local function finish(id, state, at)
    local fields = redis.call('HMGET', JOB, 'retention', 'scored', 'rejected', 'created', 'sealed', 'shown')
    local retention, seconds = tonumber(fields[1]), at - tonumber(fields[4])
    redis.call('HSET', JOB, 'state', state, 'finished', at, 'expires', at + retention)
    -- An upload that nobody has seen is no job yet; `seal` tells of it if it becomes one.
    if fields[5] == '1' or fields[6] == '1' then tell_recorder(id) end
    redis.call('ZREM', UNFINISHED, id)
    redis.call('UNLINK', INPUT, INFLIGHT, LEASES, COUNTS)
    expire_job(retention)
    extend_expiry(JOBS, retention)
    publish_change(id, at)
    count(TOTALS, 'jobs:' .. state)
    if state == 'succeeded' then count_time(TOTALS, 'job', seconds) end
    return {state, fields[2], fields[3], math.floor(seconds * 1000)}
end

-- Ends the job once its upload is complete and every chunk is recorded; returns as finish() does, or false.
local function finish_if_complete(id, at)
    local f = redis.call('HMGET', JOB, 'sealed', 'done', 'chunks', 'scored', 'scoring_failed')
    if f[1] ~= '1' or f[2] ~= f[3] then return false end
    if tonumber(f[4]) == 0 and tonumber(f[5]) > 0 then
        redis.call('HSET', JOB, 'error', 'no row could be scored')
        return finish(id, 'failed', at)
    end
    return finish(id, 'succeeded', at)
end
