-- Takes the lease of a cart that is in the cache, to refresh it early.
--
-- KEYS[1]: the epoch. ARGV: cart id, lease token, lease time in ms. Returns 1 if it was taken.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 0 end
local key = 'cart:' .. epoch .. ':' .. ARGV[1] .. ':lease'
return redis.call('SET', key, ARGV[2], 'NX', 'PX', ARGV[3]) and 1 or 0
