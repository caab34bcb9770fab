-- The chunks of a job that nobody works on although they were sent: their leases end, and each is to be sent again.
-- A message may just be waiting in a long queue, so each sending doubles the time until the next.
-- With `all_queued`, every message that nobody has taken is known to be in the queue: only ended leases count.
-- Of a job that is whole, chunks that should be under way and were never handed out are sent as well.
local grace, longest, all_queued, window, at =
    tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4]), now()
local fields = redis.call('HMGET', JOB, 'sealed', 'retention', 'state')
local whole = fields[1] == '1' and not ended(fields[3])
if whole and redis.call('TTL', JOB) < tonumber(fields[2]) / 2 then
    keep(tonumber(fields[2]))
    extend(JOBS, tonumber(fields[2]))
    extend(UNFINISHED, tonumber(fields[2]))
end
local lost = {}
for _, chunk in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, '-inf', at)) do
    local was_leased = redis.call('HDEL', LEASES, chunk) == 1
    if was_leased or not all_queued then
        local sent = redis.call('HINCRBY', COUNTS, 'sent:' .. chunk, 1)
        redis.call('ZADD', INFLIGHT, at + math.min(longest, grace * 2 ^ sent), chunk)
        lost[#lost + 1] = chunk
    end
end
if #lost > 0 then
    redis.call('PEXPIRE', COUNTS, redis.call('PTTL', JOB))
    count(TOTALS, 'chunks:sent_again', #lost)
end
if whole then
    for _, chunk in ipairs(hand_out(window, grace, at)) do lost[#lost + 1] = chunk end
end
return lost
