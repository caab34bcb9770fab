-- Lists the live processes of a role.
-- KEYS: the role's sorted set, as in beat.lua. Returns its members.
-- A script so that the server's clock decides, the same that beat.lua wrote with.
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. redis.call('TIME')[1], '+inf')
