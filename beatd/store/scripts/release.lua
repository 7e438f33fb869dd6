-- keys: lease
-- flags: allow-oom
-- Gives the lease of exactly this (epoch, owner) back and wakes the standbys. The epoch stays.
--
-- ARGV  epoch, owner, format, channel to wake.
-- Reply {TIME}.
if #ARGV ~= 4 then return refuse('MALFORMED', 'release takes an epoch, an owner, a format and a channel') end
local bad = wrong_type()
if bad then return bad end
bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), ARGV[1], ARGV[2], ARGV[3])
if bad then return bad end
redis.call('HSET', K_lease, 'owner', '', 'until', '0')
-- A hint only: whoever may not publish has given the lease back all the same.
redis.pcall('PUBLISH', ARGV[4], 'released')
return { ms(now_ms()) }
