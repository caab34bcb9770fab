-- The processes of a role that live. KEYS: the set of the role.
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. redis.call('TIME')[1], '+inf')
