-- The upload of a token holds its idempotency key for some more seconds, or frees it (0 seconds). KEYS: the key's hash;
-- ARGV: the token, the seconds.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] or redis.call('HEXISTS', KEYS[1], 'job') == 1 then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
