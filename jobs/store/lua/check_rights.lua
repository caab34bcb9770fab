-- Does what only a user with rights to Scoreline's keys and channels may do.
-- KEYS: a key for this alone. A script, since the server checks the rights of the user for each command in it.
redis.call('HSET', KEYS[1], 'checked', 1)
redis.call('UNLINK', KEYS[1])
redis.call('PUBLISH', CHANGES, '')
