-- The chunks of a job that nobody works on although they were sent: their leases end, and each is to be sent again.
-- A message may just be waiting in a long queue, so each sending doubles the time until the next.
local grace, longest, at = tonumber(ARGV[1]), tonumber(ARGV[2]), now()
local due = redis.call('ZRANGEBYSCORE', INFLIGHT, '-inf', at)
for _, chunk in ipairs(due) do
    redis.call('HDEL', LEASES, chunk)
    local sent = redis.call('HINCRBY', COUNTS, 'sent:' .. chunk, 1)
    redis.call('ZADD', INFLIGHT, at + math.min(longest, grace * 2 ^ sent), chunk)
end
if #due > 0 then redis.call('PEXPIRE', COUNTS, redis.call('PTTL', JOB)) end
return due
