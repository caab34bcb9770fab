-- An upload under an idempotency key. KEYS: the key's hash; ARGV: a token of this upload, seconds for which it holds the
-- key, prefix of the jobs' keys. Returns 'new', 'uploading', or the job of the first upload and its fingerprint.
-- The same upload asks twice when the answer to its first question was lost: the key is its own both times.
local first = redis.call('HMGET', KEYS[1], 'token', 'job', 'fingerprint')
if first[2] and redis.call('EXISTS', ARGV[3] .. first[2]) == 1 then return {first[2], first[3]} end
if first[1] and first[1] ~= ARGV[1] and not first[2] then return {'uploading'} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'token', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {'new'}
