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
    for _, key in ipairs({JOB, INPUT, OUTPUT, REJECTS, INFLIGHT, LEASES, COUNTS, SUMMARY}) do
        redis.call('PEXPIRE', key, seconds * 1000)
    end
end

-- Lengthens the lifetime of a key shared by several jobs; never shortens it.
local function extend_expiry(key, seconds)
    if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, seconds) end
end

local function ended(state)
    return state == 'succeeded' or state == 'failed' or state == 'canceled'
end

-- Notes that the job has changed and wakes the web processes in which somebody follows it.
local function publish_change(id, at)
    redis.call('HSET', JOB, 'changed', at)
    redis.call('HINCRBY', JOB, 'revision', 1)
    redis.call('PUBLISH', CHANGES .. id, '')
end

-- Returns 'first <job id> <fingerprint>' if the idempotency key belongs to a job that still exists, else nil.
local function first_upload(key, id)
    local first = redis.call('HMGET', key, 'job', 'fingerprint')
    if first[1] and redis.call('EXISTS', JOB:sub(1, -#id - 1) .. first[1]) == 1 then
        return 'first ' .. first[1] .. ' ' .. first[2]
    end
end

-- Gives the job to its idempotency key: there is no moment in which the job exists and its key does not know it.
local function keep_job(key, id, retention)
    redis.call('HSET', key, 'job', id, 'fingerprint', redis.call('HGET', JOB, 'fingerprint'))
    redis.call('EXPIRE', key, retention)
end

-- Puts the job into the lists of those who see it, by the time when it was created. The lists of the owner and of the
-- team have the key of all jobs and what keys.jobs_of and keys.TEAM_JOBS append.
local function list_job(id, created, retention)
    local lists, whose = {JOBS}, redis.call('HMGET', JOB, 'owner', 'visibility')
    if whose[1] and whose[1] ~= '' then lists[#lists + 1] = JOBS .. ':owner:' .. whose[1] end
    if whose[2] == 'team' then lists[#lists + 1] = JOBS .. ':team' end
    for _, list in ipairs(lists) do
        redis.call('ZADD', list, created, id)
        extend_expiry(list, retention)
    end
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

-- Returns how many chunks of the job may be in flight: its share of the window among all unfinished jobs, so that what
-- is sent never waits for more than a window of chunks. While fewer messages wait than there are workers, it may have
-- all of the window: other jobs have no use for theirs.
local function share_of(window)
    if redis.call('LLEN', BULK_QUEUE) < window / 2 then return window end
    return math.ceil(window / math.max(1, redis.call('ZCARD', UNFINISHED)))
end

-- Marks the next chunks as sent, up to the share of the job in flight, and returns their numbers. A sent chunk is due
-- again after `grace` seconds, in case its message is lost. The window makes jobs take turns: a small file never waits
-- for all of a large one. Chunks that a job took over from the one that it corrects are done and passed over.
local function hand_out(window, grace, at)
    local fields = redis.call('HMGET', JOB, 'next', 'chunks', 'corrects')
    local first, chunks = tonumber(fields[1]), tonumber(fields[2])
    local next_chunk, free = first, share_of(window) - redis.call('ZCARD', INFLIGHT)
    local sent = {}
    while next_chunk < chunks and free > #sent do
        if not fields[3] or redis.call('HEXISTS', INPUT, next_chunk) == 1 then
            redis.call('ZADD', INFLIGHT, at + grace, next_chunk)
            sent[#sent + 1] = next_chunk
        end
        next_chunk = next_chunk + 1
    end
    if next_chunk > first then redis.call('HSET', JOB, 'next', next_chunk) end
    if #sent > 0 then redis.call('PEXPIRE', INFLIGHT, redis.call('PTTL', JOB)) end
    return sent
end

-- Tells the recorder how the job ended, with all that the database keeps of it.
local function tell_recorder(id)
    local names = {
        'owner', 'visibility', 'model', 'version', 'compared', 'filename', 'threshold', 'size', 'total', 'scored',
        'rejected', 'warned', 'repaired', 'created', 'started', 'finished', 'state', 'error',
    }
    local entry = {'kind', 'job', 'id', id}
    for position, value in ipairs(redis.call('HMGET', JOB, unpack(names))) do
        entry[#entry + 1] = names[position]
        entry[#entry + 1] = value or ''
    end
    entry[#entry + 1] = 'summary'
    entry[#entry + 1] = cjson.encode(redis.call('HGETALL', SUMMARY))
    add_to_outbox(unpack(entry))
    limit_outbox(TOTALS)
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
    -- UNLINK frees the memory in the background: the input of a large job is many megabytes.
    redis.call('UNLINK', INPUT, INFLIGHT, LEASES, COUNTS)
    expire_job(retention)
    extend_expiry(JOBS, retention)
    publish_change(id, at)
    count(TOTALS, 'jobs:' .. state)
    if state == 'succeeded' then count_time(TOTALS, 'job', seconds) end
    return {state, fields[2], fields[3], math.floor(seconds * 1000)}
end

-- Ends the job once its upload is complete, a conversion has ended and every chunk is recorded; returns as finish()
-- does, or false.
local function finish_if_complete(id, at)
    local f = redis.call('HMGET', JOB, 'sealed', 'done', 'chunks', 'scored', 'scoring_failed', 'converting')
    if f[1] ~= '1' or f[2] ~= f[3] or f[6] == '1' then return false end
    if tonumber(f[4]) == 0 and tonumber(f[5]) > 0 then
        redis.call('HSET', JOB, 'error', 'no row could be scored')
        return finish(id, 'failed', at)
    end
    return finish(id, 'succeeded', at)
end
