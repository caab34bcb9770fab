-- Begins an upload under an idempotency key.
-- KEYS: the key's hash. ARGV: token of this upload, seconds for which it holds the key, prefix of the jobs' keys.
-- Returns {'new'}; {'uploading'} while another upload holds the key; or {job id, fingerprint} of the first upload.
-- Atomic: of two uploads that begin at once, exactly one may get the key. The same upload may repeat the call when the
-- reply was lost: its token shows that it holds the key already.
local first = redis.call('HMGET', KEYS[1], 'token', 'job', 'fingerprint')
if first[2] and redis.call('EXISTS', ARGV[3] .. first[2]) == 1 then return {first[2], first[3]} end
if first[1] and first[1] ~= ARGV[1] and not first[2] then return {'uploading'} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'token', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {'new'}
