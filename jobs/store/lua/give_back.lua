-- A worker gives a chunk back, or its parent does since it died; answers 1 if it held the chunk. With `failed`, that was by
-- the chunk's doing, which uses an attempt up. `owner` is a task and one of its deliveries, or the task alone.
local chunk, owner, failed = ARGV[1], ARGV[2], ARGV[3] == '1'
if not put_down(chunk, owner, failed, now()) then return 0 end
return 1
