-- Renames all keys of a version whose keys had another prefix.
-- ARGV: the former prefix, the prefix. Returns how many keys were renamed.
-- Atomic: no process ever sees a job of which some keys have the new name and some the former one. What both names have
-- was made by processes of both versions: lists of jobs and what the recorder has yet to write are merged, and of anything
-- else the newer one stays.
local former, prefix = ARGV[1], ARGV[2]
local cursor, found = '0', {}
repeat
    local page = redis.call('SCAN', cursor, 'MATCH', former .. '*', 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do found[#found + 1] = key end
until cursor == '0'

-- Adds the entries of a stream to another one. Their order does not matter to the recorder.
local function append_stream(key, name)
    local first = '-'
    repeat
        local page = redis.call('XRANGE', key, first, '+', 'COUNT', 1000)
        for _, entry in ipairs(page) do
            redis.call('XADD', name, '*', unpack(entry[2]))
            first = '(' .. entry[1]
        end
    until #page == 0
end

for _, key in ipairs(found) do
    local name = prefix .. string.sub(key, #former + 1)
    if redis.call('EXISTS', name) == 0 then
        -- SCAN may have returned it twice.
        if redis.call('EXISTS', key) == 1 then redis.call('RENAME', key, name) end
    elseif redis.call('TYPE', key).ok == 'zset' then
        local life = math.max(redis.call('PTTL', key), redis.call('PTTL', name))
        redis.call('ZUNIONSTORE', name, 2, name, key, 'AGGREGATE', 'MAX')
        redis.call('PEXPIRE', name, life)
        redis.call('UNLINK', key)
    elseif redis.call('TYPE', key).ok == 'stream' then
        append_stream(key, name)
        redis.call('UNLINK', key)
    else
        redis.call('UNLINK', key)
    end
end
return #found
