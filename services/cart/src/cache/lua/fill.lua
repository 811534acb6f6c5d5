-- Stores a cart, if the lease under which it was loaded is still there: an eviction since then has taken it away, and with it the
-- right to store what the change has overtaken. Gives the lease back in any case.
--
-- KEYS[1]: the epoch. ARGV: cart id, lease token, value, time to live in ms; 0 stores nothing. Returns 1 if the lease was there.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 0 end
local key = 'cart:' .. epoch .. ':' .. ARGV[1]
if redis.call('GET', key .. ':lease') ~= ARGV[2] then return 0 end
if ARGV[4] ~= '0' then redis.call('SET', key, ARGV[3], 'PX', ARGV[4]) end
redis.call('DEL', key .. ':lease')
return 1
