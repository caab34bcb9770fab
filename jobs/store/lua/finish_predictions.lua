-- Stores results, and puts them on the list on which the web process waits for them.
-- KEYS: sorted set of waiting ids, the reply list, totals, then a key per prediction. ARGV: lifetime of a result,
-- lifetime of the reply list (0: nobody waits), all results as one document, number of records that the model failed
-- on, the field of the outbox in which the recorder is told of a prediction, then an id, a result and what this field
-- says of each prediction: nothing (empty), or a text, which in the field 'request' is followed by the result; then, for
-- each version of a model, its name, numbers of records that it answered and failed on, and microseconds that it took.
-- Atomic: a result that is delivered is also stored, told to the recorder, and never sent again.
local is_told = false
for position = 4, #KEYS do
    local key = KEYS[position]
    local id, result, text = ARGV[3 * position - 6], ARGV[3 * position - 5], ARGV[3 * position - 4]
    redis.call('HSET', key, 'result', result)
    -- Without its request, it has been answered before.
    if redis.call('HDEL', key, 'request') == 1 and text ~= '' then
        is_told = true
        if ARGV[5] == 'request' then
            add_to_outbox('kind', 'prediction', 'id', id, 'request', text, 'result', result)
        else
            add_to_outbox('kind', 'prediction', 'id', id, ARGV[5], text)
        end
    end
    redis.call('EXPIRE', key, ARGV[1])
    redis.call('ZREM', KEYS[1], id)
end
if is_told then limit_outbox(KEYS[3]) end
if ARGV[2] ~= '0' then
    redis.call('LPUSH', KEYS[2], ARGV[3])
    redis.call('EXPIRE', KEYS[2], ARGV[2])
end
count(KEYS[3], 'predictions:answered', #KEYS - 3)
for position = 6 + 3 * (#KEYS - 3), #ARGV, 4 do
    count_model(ARGV[position], {
        'answered', tonumber(ARGV[position + 1]), 'failed', tonumber(ARGV[position + 2]),
        'prediction_microseconds', tonumber(ARGV[position + 3]),
    })
end
if ARGV[4] ~= '0' then count(KEYS[3], 'predictions:scoring_failed', ARGV[4]) end
