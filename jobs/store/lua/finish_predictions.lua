-- Stores results, and puts them on the list on which the web process waits for them.
-- KEYS: sorted set of waiting ids, the reply list, totals, then a key per prediction. ARGV: lifetime of a result,
-- lifetime of the reply list (0: nobody waits), all results as one document, number of records that the model failed
-- on, then an id, a result and what the recorder is told per prediction: nothing (empty), the request and the result
-- ('*'), or this text in their place; then, for each version of a model, its name, numbers of records that it answered and
-- failed on, and milliseconds that it took.
-- Atomic: a result that is delivered is also stored, told to the recorder, and never sent again.
local is_told = false
for position = 4, #KEYS do
    local id, result, told = ARGV[3 * position - 7], ARGV[3 * position - 6], ARGV[3 * position - 5]
    -- Without its request, it has been answered before.
    local request = told ~= '' and redis.call('HGET', KEYS[position], 'request')
    if request and told == '*' then
        add_to_outbox({'kind', 'prediction', 'id', id, 'request', request, 'result', result})
    elseif request then
        add_to_outbox({'kind', 'prediction', 'id', id, 'brief', told})
    end
    is_told = is_told or request
    redis.call('HSET', KEYS[position], 'result', result)
    redis.call('HDEL', KEYS[position], 'request')
    redis.call('EXPIRE', KEYS[position], ARGV[1])
    redis.call('ZREM', KEYS[1], id)
end
if is_told then limit_outbox(KEYS[3]) end
if ARGV[2] ~= '0' then
    redis.call('LPUSH', KEYS[2], ARGV[3])
    redis.call('EXPIRE', KEYS[2], ARGV[2])
end
count(KEYS[3], 'predictions:answered', #KEYS - 3)
for position = 5 + 3 * (#KEYS - 3), #ARGV, 4 do
    count_model(ARGV[position], {
        'answered', tonumber(ARGV[position + 1]), 'failed', tonumber(ARGV[position + 2]),
        'prediction_milliseconds', tonumber(ARGV[position + 3]),
    })
end
if ARGV[4] ~= '0' then count(KEYS[3], 'predictions:scoring_failed', ARGV[4]) end
