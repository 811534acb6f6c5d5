-- Generic cell rate algorithm: one request of the client in KEYS[1].
-- ARGV[1]: microseconds one request costs. ARGV[2]: microseconds a client may be ahead of its rate (burst * cost).
-- Returns 0 when admitted, else the microseconds to wait. A refused request is not counted.
--
-- The key holds the theoretical arrival time: when the client would be level with its rate again. Redis' own clock is used,
-- so that the clocks of the callers do not matter.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, ahead_max = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + cost
local wait = arrival - ahead_max - now
if wait > 0 then
  return wait
end
-- %.0f: Lua would write so large a number as 1.7e+15 and lose its digits.
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
return 0
