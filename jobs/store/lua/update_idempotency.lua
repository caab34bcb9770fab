-- Holds an idempotency key for some more seconds, or frees it.
-- KEYS: the key's hash. ARGV: token of the upload, seconds (0: free the key).
-- Returns 1 if the upload held the key and it has no job yet, else 0.
-- Atomic: the key may have passed to another upload, or got its job, just before.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] or redis.call('HEXISTS', KEYS[1], 'job') == 1 then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
