-- keys: lease meta
-- Writes down whose files are stored. Before the first change of a difference: that nobody's are, in full.
--
-- ARGV  epoch, owner, format, hash of the files ('' before a difference), when they were registered in ms, by whom.
-- Reply {TIME}.
if #ARGV ~= 6 or not whole(ARGV[5]) then
  return refuse('MALFORMED', 'applied takes an epoch, an owner, a format, a hash, an instant and an instance')
end
local bad = wrong_type()
if bad then return bad end
bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), ARGV[1], ARGV[2], ARGV[3])
if bad then return bad end
redis.call('HSET', K_meta, 'file', ARGV[4])
if ARGV[4] ~= '' then redis.call('HSET', K_meta, 'file_at', ARGV[5], 'file_by', ARGV[6]) end
return { ms(now_ms()) }
