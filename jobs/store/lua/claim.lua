-- A worker asks for a chunk: the word why not ('gone', 'ended', 'done', 'leased'), or 'yours', the attempt, how many holds
-- on it were lost, the chunk, the fields of the job, and 1 if the job starts with it. A task that comes again takes its own
-- lease over. The attempt is one more than the failures by the chunk's doing; a hold that ends without a word (a host gone,
-- a process killed, a store that did not answer) says nothing of the chunk and is counted as lost.
local id, chunk, task, delivery, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local owner = task .. ' ' .. delivery
local state = redis.call('HGET', JOB, 'state')
if not state then return {'gone'} end
if ended(state) then return {'ended'} end
if redis.call('HEXISTS', OUTPUT, chunk) == 1 then return {'done'} end
local at = now()
local holder = redis.call('HGET', LEASES, chunk)
local live = holder and tonumber(redis.call('ZSCORE', INFLIGHT, chunk) or 0) > at
if live and string.sub(holder, 1, #task + 1) ~= task .. ' ' then return {'leased'} end
local data = redis.call('HGET', INPUT, chunk)
if not data then return {'gone'} end
-- The same delivery asks twice when the answer to its first question was lost: that is one hold.
local asks_again = redis.call('HGET', COUNTS, 'at:' .. chunk)
asks_again = asks_again and string.sub(asks_again, 1, #owner + 1) == owner .. ' '
local lost = redis.call('HINCRBY', COUNTS, 'lost:' .. chunk, asks_again and 0 or 1) - 1
local attempt = tonumber(redis.call('HGET', COUNTS, 'failures:' .. chunk) or 0) + 1
if not asks_again and redis.call('HEXISTS', COUNTS, 'claimed:' .. chunk) == 1 then count(TOTALS, 'chunks:retried') end
redis.call('HSET', LEASES, chunk, owner)
redis.call('HSET', COUNTS, 'claimed:' .. chunk, at, 'at:' .. chunk, owner .. ' ' .. attempt)
redis.call('ZADD', INFLIGHT, at + lease, chunk)
local life = redis.call('PTTL', JOB)
for _, key in ipairs({LEASES, COUNTS, INFLIGHT}) do redis.call('PEXPIRE', key, life) end
local starts = state == 'queued'
if starts then
    redis.call('HSET', JOB, 'state', 'running', 'started', at)
    changed(id, at)
end
return {'yours', attempt, lost, data, redis.call('HGETALL', JOB), starts and 1 or 0}
