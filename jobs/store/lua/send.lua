-- Puts messages on a Celery queue.
-- KEYS: the queue's list. ARGV: its lifetime in seconds, then the messages.
-- Atomic: a value and its lifetime are set together. LPUSH, since kombu takes messages from the right.
for position = 2, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[position]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
