-- A worker gives a chunk back since its host cannot load the model; answers how the job ended, or false.
-- It ends when no host where a bulk worker lives can, and that has been so for `wait` seconds.
-- KEYS[12]: the living bulk workers.
local id, chunk, owner, host, reason, pause, wait =
    ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local at = now()
if ended(redis.call('HGET', JOB, 'state') or 'canceled') then return false end
if not put_down(chunk, owner, false, at + pause) then return false end
redis.call('HINCRBY', COUNTS, 'lost:' .. chunk, -1)
local unable = cjson.decode(redis.call('HGET', COUNTS, 'unable') or '{"hosts": {}}')
unable.since = unable.since or at
unable.hosts[host] = reason
redis.call('HSET', COUNTS, 'unable', cjson.encode(unable))
if at - unable.since < wait then return false end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[12], '(' .. at, '+inf')) do
    if not unable.hosts[string.match(member, '^%S+')] then return false end
end
local reasons = {}
for name, why in pairs(unable.hosts) do reasons[#reasons + 1] = name .. ': ' .. why end
table.sort(reasons)
redis.call('HSET', JOB, 'error', 'the model cannot be used on any worker: ' .. table.concat(reasons, '; '))
return finish(id, 'failed', at)
