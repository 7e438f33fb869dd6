-- keys: lease rev def due out blocked last hold jit left
-- Looks at entries in all places at once, and mends what no script of ours leaves behind: an entry that is in none of
-- due, out and blocked, or in several of them, and names there that are no entries.
--
-- ARGV  epoch, owner, format, number of names n, then the n names.
-- Reply {one digit a name, TIME}. 0 nothing was wrong, 1 no entry: taken out of every place, 2 it was in no place: to be
--       planned now, from its last fire on where there is one, 3 it was in several places: the one that keeps it from
--       firing counts, 4 a definition without a revision: left as it is, for nobody can tell what was meant.
local EPOCH, OWNER, FORMAT, N = ARGV[1], ARGV[2], ARGV[3], whole(ARGV[4])
if not N or N < 1 or N > 500 or #ARGV ~= 4 + N then
  return refuse('MALFORMED', 'repair takes 1 to 500 names')
end
local bad = wrong_type()
if bad then return bad end
bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), EPOCH, OWNER, FORMAT)
if bad then return bad end

local now = now_ms()
local function column(command, key) return redis.call(command, key, unpack(ARGV, 5, 4 + N)) end
local revs, due, blocked = column('HMGET', K_rev), column('ZMSCORE', K_due), column('ZMSCORE', K_blocked)
local outs, lasts = column('HMGET', K_out), column('HMGET', K_last)

local function take_out(name)
  redis.call('ZREM', K_due, name)
  redis.call('ZREM', K_blocked, name)
  for _, key in ipairs({ K_out, K_hold, K_jit, K_left }) do redis.call('HDEL', key, name) end
end

-- Whether the reasons say that it may not fire now.
local function keeps_out(text)
  local out = object(text)
  return out.paused or out.disabled or out.finished or out.invalid
end

local function mend(name, i)
  local places = (due[i] and 1 or 0) + (blocked[i] and 1 or 0) + (outs[i] and 1 or 0)
  if not revs[i] then
    if places > 0 then take_out(name) end
    return places > 0 and 1 or redis.call('HEXISTS', K_def, name) == 1 and 4 or 0
  end
  if places == 1 then return 0 end
  if places == 0 then
    local fired = last_slot(lasts[i])
    redis.call('ZADD', K_due, '-' .. ms(fired > 0 and fired or now), name)
    return 2
  end
  if outs[i] and keeps_out(outs[i]) then
    redis.call('ZREM', K_due, name)
    redis.call('ZREM', K_blocked, name)
  else
    redis.call('HDEL', K_out, name)
    if due[i] then redis.call('ZREM', K_blocked, name) end
  end
  return 3
end

local codes = {}
for i = 1, N do
  codes[i] = mend(ARGV[4 + i], i)
end
return { table.concat(codes), ms(now) }
