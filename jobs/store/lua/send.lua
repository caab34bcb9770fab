-- Puts messages on a queue of Celery's. KEYS: the queue; ARGV: its lifetime, then the messages.
for position = 2, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[position]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
