-- An upload still comes in, if slowly: its keys live on.
local fields = redis.call('HMGET', JOB, 'state', 'sealed')
if fields[1] and fields[2] ~= '1' and not ended(fields[1]) then keep(tonumber(ARGV[1])) end
