-- POSTs the JSON bodies of a file, one a line, in turn; prints what was measured as one line of JSON.

local bodies = {}

function init(arguments)
  for line in io.lines(arguments[1]) do
    bodies[#bodies + 1] = line
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  local place = 0
  local requests = {}
  for number, body in ipairs(bodies) do
    requests[number] = wrk.format(nil, nil, nil, body)
  end
  request = function()
    place = place % #requests + 1
    return requests[place]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"p50": %.4f, "p99": %.4f, "longest": %.4f, "per_second": %.1f, "requests": %d, '
      .. '"bad_status": %d, "errors": %d}\n',
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    (summary.requests - errors.status) / summary.duration * 1e6, summary.requests,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
