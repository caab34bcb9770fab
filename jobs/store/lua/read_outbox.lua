-- Reads the oldest entries of the outbox.
-- KEYS: the outbox. ARGV: maximum number of entries, number of bytes after which no further entry is read.
-- Returns the entries as XRANGE does.
-- One script, since only the server knows how large the next entry is.
local entries, bytes, after = {}, 0, '-'
while #entries < tonumber(ARGV[1]) and bytes < tonumber(ARGV[2]) do
    local found = redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', 1)[1]
    if not found then break end
    entries[#entries + 1] = found
    after = '(' .. found[1]
    for _, text in ipairs(found[2]) do bytes = bytes + #text end
end
return entries
