-- Requests at random instants, so many a second, on whatever connection is free; each carries the time
-- at which it was sent, and brings it back. The arguments: requests a second, the deadline in µs, a seed.
local ffi = require("ffi")
ffi.cdef("struct calm_now { long s, us; }; int gettimeofday(struct calm_now *now, void *zone);")
local clock = ffi.new("struct calm_now")

local function now() -- in µs
  ffi.C.gettimeofday(clock, nil)
  return tonumber(clock.s) * 1e6 + tonumber(clock.us)
end

local thread
function setup(t) thread = t end

function init(args)
  rate, deadline = tonumber(args[1]), tonumber(args[2])
  math.randomseed(tonumber(args[3]))
  sent, refused, good = 0, 0, {}
  at = now()
end

function delay() -- in ms
  at = at - math.log(1 - math.random()) / rate * 1e6
  return math.max(0, math.floor((at - now()) / 1e3))
end

function request()
  sent = sent + 1
  return wrk.format(nil, nil, { ["X-Sent"] = string.format("%d", now()) })
end

function response(status, headers)
  local took = now() - tonumber(headers["X-Sent"] or 0)
  if status == 429 or status == 503 then
    refused = refused + 1
  elseif status == 200 and took <= deadline then
    good[#good + 1] = took
  end
end

function done()
  print("outcome", thread:get("sent"), thread:get("refused"), table.concat(thread:get("good"), " "))
end
