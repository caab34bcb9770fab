-- Releases a leased chunk: its worker failed on it, or the worker's parent saw the process die.
-- KEYS: as in common.lua. ARGV: chunk, owner (a task and its delivery, or the task alone), 1 if the chunk itself was to
-- blame, which uses up an attempt; grace seconds, after which it is due, in case the message that follows is lost.
-- Returns 1 if `owner` held the chunk, else 0.
-- Atomic: the lease may have passed to another task just before.
local chunk, owner, failed = ARGV[1], ARGV[2], ARGV[3] == '1'
if not release_chunk(chunk, owner, failed, now() + ARGV[4]) then return 0 end
return 1
