-- Puts messages on a Celery queue.
-- KEYS: the queue's list. ARGV: its lifetime in seconds, then the messages.
-- Atomic: a value and its lifetime are set together. LPUSH, since kombu takes messages from the right. Each message gets
-- the time: by that of the oldest one in the queue, overdue.lua knows which messages cannot be in it any more.
local time = redis.call('TIME')
local sent_at = string.format('"sent_at":%d.%06d', time[1], time[2])
for position = 2, #ARGV do
    redis.call('LPUSH', KEYS[1], (string.gsub(ARGV[position], '"sent_at":0', sent_at, 1)))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
