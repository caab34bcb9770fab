-- Releases a chunk whose model this worker cannot load; fails the job once no live worker can.
-- KEYS: as in common.lua, then KEYS[12]: sorted set of the live bulk workers. ARGV: job id, chunk, owner, worker
-- ("<host> <pid>"), reason, seconds until the chunk is due again, seconds for which no worker has to be able to.
-- Returns how the job ended, as finish() does, or false.
-- Atomic: the list of workers that cannot and the decision to fail must not miss a chunk recorded in between, which
-- clears that list (record.lua).
local id, chunk, owner, worker, reason, pause, wait =
    ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local at = now()
if ended(redis.call('HGET', JOB, 'state') or 'canceled') then return false end
if not release_chunk(chunk, owner, false, at + pause) then return false end
-- The worker reported what became of its lease, so it does not count as lost.
redis.call('HINCRBY', COUNTS, 'lost:' .. chunk, -1)
-- Its message is gone: overdue.lua sends another one as soon as the chunk is due.
redis.call('HSET', COUNTS, 'missed:' .. chunk, 1)
local unable = cjson.decode(redis.call('HGET', COUNTS, 'unable') or '{"workers": {}}')
unable.since = unable.since or at
unable.workers[worker] = reason
redis.call('HSET', COUNTS, 'unable', cjson.encode(unable))
if at - unable.since < wait then return false end
local by_host = {[string.match(worker, '^%S+')] = reason}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[12], '(' .. at, '+inf')) do
    local name = string.match(member, '^%S+ %S+')
    if not unable.workers[name] then return false end
    by_host[string.match(name, '^%S+')] = unable.workers[name]
end
local reasons = {}
for host, why in pairs(by_host) do reasons[#reasons + 1] = host .. ': ' .. why end
-- pairs() has no order; the message should not change from one attempt to the next.
table.sort(reasons)
redis.call('HSET', JOB, 'error', 'the model cannot be used on any worker: ' .. table.concat(reasons, '; '))
return finish(id, 'failed', at)
