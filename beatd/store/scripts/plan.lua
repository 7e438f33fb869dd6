-- keys: lease rev due out blocked last jit skip
-- Sets the first moment of entries that are to be planned, or says why there is none. Only the leader computes slots.
--
-- ARGV  epoch, owner, format, rows kept in skip, number of items n; then six columns of n values each:
--         name, revision, the exact score that was read, verdict (the moment, 'F' finished, 'I' invalid,
--         'G' a score without an entry, which goes; its revision is ''),
--         detail (for 'I' a JSON object with the reason, else ''), skips (packed rows, or '').
-- Reply {one digit an item, TIME}. 0 done, 1 that score or the last fire has changed: look again, 2 gone or another
--       revision, 5 malformed.
local EPOCH, OWNER, FORMAT, SKIP_ROWS, N = ARGV[1], ARGV[2], ARGV[3], whole(ARGV[4]), whole(ARGV[5])
if not N or N < 1 or N > 500 or #ARGV ~= 5 + 6 * N or not SKIP_ROWS then
  return refuse('MALFORMED', 'plan takes a number of rows and 1 to 500 items')
end
local NAME, REV, SCORE, VERDICT, DETAIL, SKIPS = 5, 5 + N, 5 + 2 * N, 5 + 3 * N, 5 + 4 * N, 5 + 5 * N
local bad = wrong_type({ hist = true, skip = true })
if bad then return bad end
bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), EPOCH, OWNER, FORMAT)
if bad then return bad end

local now = now_ms()
local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
local due = redis.call('ZMSCORE', K_due, unpack(ARGV, NAME + 1, NAME + N))
local blocked = exists.blocked and redis.call('ZMSCORE', K_blocked, unpack(ARGV, NAME + 1, NAME + N))
local lasts = redis.call('HMGET', K_last, unpack(ARGV, NAME + 1, NAME + N))
local jitters = exists.jit and redis.call('HMGET', K_jit, unpack(ARGV, NAME + 1, NAME + N))

-- The detail goes into `out` as it stands: what is no object would spoil the reasons of its entry.
local function is_object(text)
  return find(text, '^{.*}$') and pcall(cjson.decode, text)
end

local seen = {}
local function judge(i)
  local name, verdict = ARGV[NAME + i], ARGV[VERDICT + i]
  local moment = whole(verdict)
  if not moment and verdict ~= 'F' and verdict ~= 'I' and verdict ~= 'G' then return 5 end
  if verdict == 'I' and not is_object(ARGV[DETAIL + i]) then return 5 end
  if seen[name] then return 1 end
  seen[name] = true
  local stored = due[i] or (blocked and blocked[i])
  if verdict == 'G' then return (not stored or revs[i]) and 2 or stored == ARGV[SCORE + i] and 0 or 1 end
  if not stored or revs[i] ~= ARGV[REV + i] then return 2 end
  if stored ~= ARGV[SCORE + i] then return 1 end
  if moment and moment - (jitters and number(jitters[i]) or 0) <= last_slot(lasts[i]) then return 1 end
  return 0
end

local codes = {}
for i = 1, N do codes[i] = judge(i) end
local skips = {}
for i = 1, N do
  -- A moment that stands already: the same call for the second time. Its skips have their row.
  if codes[i] == 0 and due[i] ~= ARGV[VERDICT + i] then
    local name, verdict = ARGV[NAME + i], ARGV[VERDICT + i]
    redis.call('ZREM', K_blocked, name)
    if verdict == 'F' then
      redis.call('ZREM', K_due, name)
      redis.call('HSET', K_out, name, '{"finished":{"at":"' .. ms(now) .. '"},"owed":"' .. ARGV[SCORE + i] .. '"}')
    elseif verdict == 'G' then
      redis.call('ZREM', K_due, name)
    elseif verdict == 'I' then
      redis.call('ZREM', K_due, name)
      redis.call('HSET', K_out, name, '{"invalid":' .. ARGV[DETAIL + i] .. ',"owed":"' .. ARGV[SCORE + i] .. '"}')
    else
      redis.call('ZADD', K_due, verdict, name)
    end
    if ARGV[SKIPS + i] ~= '' then skips[#skips + 1] = name .. US .. ARGV[SKIPS + i] end
  end
end
if #skips > 0 then
  add_row(K_skip, SKIP_ROWS, 'epoch', EPOCH, 'at', ms(now), 'skips', table.concat(skips, RS))
end
return { table.concat(codes), ms(now) }
