-- Requests for wrk. Arguments: kind (transfers, bulk, balance), spread (uniform, hot, zipf), token, file of account
-- ids, a name for this run. Each request has a random pair of accounts and an Idempotency-Key of its own.
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  kind, spread, token, run = args[1], args[2], args[3], args[5]
  ids, weights, sent = {}, {}, 0
  for line in io.lines(args[4]) do ids[#ids + 1] = line end
  local total = 0
  for rank = 1, #ids do
    total = total + 1 / rank
    weights[rank] = total
  end
  math.randomseed(os.time() + number * 7919)
  headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
end

local function any() return math.random(#ids) end

local function by_zipf()
  local wanted, low, high = math.random() * weights[#ids], 1, #ids
  while low < high do
    local middle = math.floor((low + high) / 2)
    if weights[middle] < wanted then low = middle + 1 else high = middle end
  end
  return low
end

local function pair()
  local pick = spread == "zipf" and by_zipf or any
  local one, other = spread == "hot" and 1 or pick(), pick()
  while one == other do other = any() end
  if math.random(2) == 1 then one, other = other, one end
  return ids[one], ids[other]
end

local function body(source, target, extra)
  return '{' .. extra .. '"target_account_id":"' .. target .. '","amount":"0.01","currency":"EUR"}'
end

function request()
  local source, target = pair()
  if kind == "balance" then
    return wrk.format("GET", "/api/v1/accounts/" .. source .. "/balance", headers)
  end
  sent = sent + 1
  headers["Idempotency-Key"] = run .. "-" .. number .. "-" .. sent
  if kind == "transfers" then
    return wrk.format("POST", "/api/v1/accounts/" .. source .. "/transfers", headers, body(source, target, ""))
  end
  local commands = {}
  for index = 1, 50 do
    source, target = pair()
    commands[index] = body(source, target, '"command":"transfer","account_id":"' .. source .. '",')
  end
  return wrk.format("POST", "/api/v1/batches", headers, '{"commands":[' .. table.concat(commands, ",") .. "]}")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "status": %d, "socket": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
