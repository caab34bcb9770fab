-- Collects the state of the service at one moment.
-- KEYS: totals, unfinished jobs, waiting predictions, then the Celery queues. ARGV: prefix of the jobs' keys, suffixes
-- of the keys of sent and of leased chunks.
-- Returns names and numbers in turn, as texts: "total:<name>" for totals, a queue's key for its length.
-- Atomic: the numbers belong together, so that metrics add up.
local time = redis.call('TIME')
local at = tonumber(time[1]) + tonumber(time[2]) / 1000000
local stats = {uploading = 0, queued = 0, running = 0, chunks = 0, sent = 0, leased = 0, age = 0, silence = 0}
local function add(name, number) stats[name] = stats[name] + number end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local job = ARGV[1] .. id
    local f = redis.call('HMGET', job, 'state', 'sealed', 'created', 'changed', 'chunks', 'done')
    if f[1] then
        local sent, leased = redis.call('ZCARD', job .. ARGV[2]), redis.call('HLEN', job .. ARGV[3])
        add('chunks', tonumber(f[5]) - tonumber(f[6]))
        add('sent', sent)
        add('leased', leased)
        if f[2] == '1' then
            add(f[1], 1)
            stats.age = math.max(stats.age, at - tonumber(f[3]))
            stats.silence = math.max(stats.silence, at - tonumber(f[4]))
        else
            add('uploading', 1)
        end
    end
end
local reply = {'predictions', tostring(redis.call('ZCARD', KEYS[3]))}
local function append(name, number)
    reply[#reply + 1] = name
    reply[#reply + 1] = tostring(number)
end
for name, number in pairs(stats) do append(name, number) end
for position = 4, #KEYS do append(KEYS[position], redis.call('LLEN', KEYS[position])) end
local totals = redis.call('HGETALL', KEYS[1])
for position = 1, #totals, 2 do append('total:' .. totals[position], totals[position + 1]) end
return reply
