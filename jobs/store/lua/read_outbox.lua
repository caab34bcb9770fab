-- Reads the oldest entries of the outbox.
-- KEYS: the outbox. ARGV: maximum number of entries, number of bytes after which no further entry is read.
-- Returns the entries as XRANGE does.
-- One script, since only the server knows how large the next entries are.
local entries, bytes, after = {}, 0, '-'
while #entries < tonumber(ARGV[1]) and bytes < tonumber(ARGV[2]) do
    -- Not one by one, which would take the server as long as adding them did.
    local found = redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', 8)
    if #found == 0 then break end
    for _, entry in ipairs(found) do
        if #entries == tonumber(ARGV[1]) or bytes >= tonumber(ARGV[2]) then break end
        entries[#entries + 1] = entry
        after = '(' .. entry[1]
        for _, text in ipairs(entry[2]) do bytes = bytes + #text end
    end
end
return entries
