-- An upload under an idempotency key. KEYS: the key's hash, the set of living web processes; ARGV: a token of this upload,
-- seconds that it may stand still, prefix of the jobs' keys, the process that receives it, seconds for which that lives
-- without another sign of life. Returns 'new', 'uploading', or the job of the first upload and its fingerprint.
-- The same upload asks twice when the answer to its first question was lost: the key is its own both times. An upload
-- whose process is gone does not go on: its key is free.
local first = redis.call('HMGET', KEYS[1], 'token', 'job', 'fingerprint', 'process')
if first[2] and redis.call('EXISTS', ARGV[3] .. first[2]) == 1 then return {first[2], first[3]} end
local at = tonumber(redis.call('TIME')[1])
if first[1] and first[1] ~= ARGV[1] and not first[2] then
  -- Without a process: an upload to a web process of before the sign of life was kept.
  if not first[4] or tonumber(redis.call('ZSCORE', KEYS[2], first[4]) or 0) > at then return {'uploading'} end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'process', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], at + tonumber(ARGV[5]), ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return {'new'}
