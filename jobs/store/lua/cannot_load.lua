-- A worker gives a chunk back since it cannot load the model; answers how the job ended, or false.
-- It ends when no bulk worker that lives can, and that has been so for `wait` seconds. KEYS[12]: the living bulk workers.
local id, chunk, owner, worker, reason, pause, wait =
    ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local at = now()
if ended(redis.call('HGET', JOB, 'state') or 'canceled') then return false end
if not put_down(chunk, owner, false, at + pause) then return false end
redis.call('HINCRBY', COUNTS, 'lost:' .. chunk, -1)
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
table.sort(reasons)
redis.call('HSET', JOB, 'error', 'the model cannot be used on any worker: ' .. table.concat(reasons, '; '))
return finish(id, 'failed', at)
