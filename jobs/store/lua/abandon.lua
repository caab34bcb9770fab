-- Removes an upload that was refused or broke off; a job that is whole stays, and one that has ended and shows.
local id, fields = ARGV[1], redis.call('HMGET', JOB, 'state', 'sealed', 'shown')
if fields[1] and (fields[2] == '1' or (fields[3] == '1' and ended(fields[1]))) then return 0 end
for position = 1, 8 do redis.call('UNLINK', KEYS[position]) end
redis.call('ZREM', UNFINISHED, id)
redis.call('PUBLISH', 'scoreline:changes', id)
return 1
