-- Looks for a cart; on a miss, tries to take the lease that allows to fill it.
-- Leases: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.
--
-- KEYS[1]: the epoch. ARGV: cart id, lease token, lease time in ms.
-- Returns {0} without an epoch, {1, value, ms to its expiry}, {2} lease taken, {3} somebody else's lease.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return {0, false, 0} end
local key = 'cart:' .. epoch .. ':' .. ARGV[1]
local value = redis.call('GET', key)
if value then return {1, value, redis.call('PTTL', key)} end
if redis.call('SET', key .. ':lease', ARGV[2], 'NX', 'PX', ARGV[3]) then return {2, false, 0} end
return {3, false, 0}
