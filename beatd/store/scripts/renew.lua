-- keys: lease
-- flags: allow-oom
-- Renews the lease of exactly this (epoch, owner); never creates the record.
--
-- ARGV  epoch, owner, format.
-- Reply {until, TIME, rn, seq, inc}.
if #ARGV ~= 3 then return refuse('MALFORMED', 'renew takes an epoch, an owner and a format') end
local bad = wrong_type()
if bad then return bad end
local lease = redis.call('HMGET', K_lease, 'epoch', 'owner', 'format', 'until', 'ttl', 'rn', 'seq', 'inc')
bad = fence(lease, ARGV[1], ARGV[2], ARGV[3])
if bad then return bad end
local now = now_ms()
local till = now + number(lease[5])
local rn = ms(number(lease[6]) + 1)
redis.call('HSET', K_lease, 'until', ms(till), 'rn', rn)
return { ms(till), ms(now), rn, ms(number(lease[7])), lease[8] or '' }
