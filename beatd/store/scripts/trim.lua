-- keys: lease rev gone last
-- flags: allow-oom
-- Forgets removed entries whose time is over: what they were paused for, and their last fire.
--
-- ARGV  epoch, owner, format, ms for which an entry of a file is remembered, the same for others, number of names n,
--       then the n names.
-- Reply {one digit a name (1 forgotten, 0 kept), TIME}.
local EPOCH, OWNER, FORMAT = ARGV[1], ARGV[2], ARGV[3]
local FILES, OTHERS, N = whole(ARGV[4]), whole(ARGV[5]), whole(ARGV[6])
if not FILES or not OTHERS or not N or N < 1 or N > 500 or #ARGV ~= 6 + N then
  return refuse('MALFORMED', 'trim takes two durations and 1 to 500 names')
end
local bad = wrong_type()
if bad then return bad end
bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), EPOCH, OWNER, FORMAT)
if bad then return bad end

local now = now_ms()
local revs = redis.call('HMGET', K_rev, unpack(ARGV, 7, 6 + N))
local notes = redis.call('HMGET', K_gone, unpack(ARGV, 7, 6 + N))
local codes = {}
for i = 1, N do
  local note = object(notes[i])
  -- A note that says no time was spoilt by somebody else, and would stay for ever.
  local over = notes[i] and number(tostring(note.at)) + (note.file and FILES or OTHERS) < now
  if over then
    redis.call('HDEL', K_gone, ARGV[6 + i])
    if not revs[i] then redis.call('HDEL', K_last, ARGV[6 + i]) end
  end
  codes[i] = over and 1 or 0
end
return { table.concat(codes), ms(now) }
