-- Prepended to scripts that end a job or answer a prediction, after totals.lua. The outbox holds what the recorder has
-- yet to write to the database. The entry is added by the script that does what it tells of, so that neither comes
-- without the other. scripts.py defines OUTBOX and its limits.
local function add_to_outbox(...)
    redis.call('XADD', OUTBOX, '*', ...)
end

-- Called once by a script that has added entries. While the database is away for long, the oldest give way: scoring needs
-- the memory.
local function limit_outbox(totals)
    if redis.call('XLEN', OUTBOX) > OUTBOX_ENTRIES then
        count(totals, 'outbox:dropped', redis.call('XTRIM', OUTBOX, 'MAXLEN', OUTBOX_ENTRIES))
    end
    if redis.call('TTL', OUTBOX) < OUTBOX_SECONDS / 2 then redis.call('EXPIRE', OUTBOX, OUTBOX_SECONDS) end
end
