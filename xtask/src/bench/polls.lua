-- What wrk asks: every cluster and every type in turn. Each request is put together when it is sent, so that a
-- large fleet costs the generator no more than a small one.
local clusters, token
local paths = { "platform-components", "namespaces", "rolebindings" }
local n = 0

function init(args)
  clusters = tonumber(args[1])
  token = args[2]
  -- Rounds begin at different places.
  n = tonumber(args[3])
end

function request()
  n = n + 1
  -- A prime step reaches all of them, and no two neighbours in a row.
  local cluster = (n * 7919) % clusters
  return string.format(
    "GET /api/v2/flux/clusters/cluster-%06d.k8s.example.com/%s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n",
    cluster, paths[n % 3 + 1], token)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local socket = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("measured %d %d %d %d %d %d\n",
    summary.requests, summary.duration, summary.bytes, errors.status, socket, latency:percentile(99)))
end
