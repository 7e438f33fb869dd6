-- keys: lease
-- flags: allow-oom
-- Gives the lease of exactly this (epoch, owner) back and wakes the standbys. The epoch stays.
--
-- KEYS  the lease; ARGV  epoch, owner, format, channel to wake.
-- Reply {TIME}.
local bad = wrong_type()
if bad then return bad end
bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), ARGV[1], ARGV[2], ARGV[3])
if bad then return bad end
redis.call('HSET', K_lease, 'owner', '', 'until', '0')
redis.call('PUBLISH', ARGV[4], 'released')
return { ms(now_ms()) }
