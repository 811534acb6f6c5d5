-- Takes carts out, and the leases of those who are loading them.
--
-- KEYS[1]: the epoch. ARGV: cart ids. Returns how many values and leases there were.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 0 end
local taken = 0
for _, id in ipairs(ARGV) do
    local key = 'cart:' .. epoch .. ':' .. id
    taken = taken + redis.call('UNLINK', key, key .. ':lease')
end
return taken
