-- keys: lease rev due out hold blocked last jit skip log req asked ob obm
-- flags: allow-oom
-- uses: edit requests intents
-- Pauses entries, until they are resumed or up to an instant. After the reply nothing of them enters a queue before
-- that; requests and intents made before are withdrawn. All or nothing. Any reason there is to be out of the timetable stays; a
-- pause takes the place of one before it.
--
-- ARGV  format, who (JSON text for the audit), rows kept in log, rows kept in skip, who pauses and a note (texts for
--       people), until in ms ('' for ever; a slot at that instant fires), number of items n; then two columns of n
--       values each:
--         name, a fresh nonce.
-- Reply {one digit an item, TIME}. 0 done, 1 done before under this very nonce, 2 there is no such entry (then nothing
--       at all was written), 5 malformed, or an instant that has passed (likewise).
local FORMAT, WHO, LOG_ROWS, SKIP_ROWS = ARGV[1], ARGV[2], whole(ARGV[3]), whole(ARGV[4])
local BY, NOTE, UNTIL, N = ARGV[5], ARGV[6], ARGV[7] ~= '' and whole(ARGV[7]), whole(ARGV[8])
if not N or N < 1 or N > 500 or #ARGV ~= 8 + 2 * N or not LOG_ROWS or not SKIP_ROWS or UNTIL == nil
  or #BY + #NOTE > 4096 then
  return refuse('MALFORMED', 'pause takes two numbers of rows, two texts of at most 4096 bytes, an instant or none '
    .. 'and 1 to 500 items')
end
local NAME, NONCE = 8, 8 + N
local bad = twice(NAME, N) or too_large() or wrong_type() or check_format(FORMAT)
if bad then return bad end

local now = now_ms()
local codes, refused = {}, false
local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
for i = 1, N do
  local code = 0
  if not is_nonce(ARGV[NONCE + i]) then
    code = 5
  elseif not revs[i] then
    code = 2
  elseif has_nonce(revs[i], ARGV[NONCE + i]) then
    code = 1
  elseif UNTIL and UNTIL <= now then
    code = 5
  end
  codes[i], refused = code, refused or code > 1
end
if refused then return { table.concat(codes), ms(now) } end

local function pause(name, rev, nonce)
  local score = score_of(redis.call('ZSCORE', K_due, name)) or score_of(redis.call('ZSCORE', K_blocked, name))
  local out, hold = object(redis.call('HGET', K_out, name)), object(redis.call('HGET', K_hold, name))
  local jitter, fired = number(redis.call('HGET', K_jit, name)), last_slot(redis.call('HGET', K_last, name))
  -- First, and by what takes away: servers refuse growth under memory pressure before a script's first write only.
  redis.call('ZREM', K_due, name)
  redis.call('ZREM', K_blocked, name)
  withdraw(name, 'paused', now)

  local owed = score or score_of(out.owed) or -now
  if hold.since and running(hold, now) then
    -- What a pause with an end has passed over is owed to whoever lifts it, and what ended inside it has not ended.
    owed, out.finished = -(score_of(hold.since) or now), nil
  end
  hold = { after = hold.after }
  out.paused = nil
  if UNTIL then
    hold['until'], hold.who, hold.note = ms(UNTIL), BY, NOTE
    if out.disabled or out.invalid or out.finished then
      out.owed = ms(owed)
      redis.call('HSET', K_out, name, cjson.encode(out))
    else
      local since = settled(owed, jitter)
      redis.call('HDEL', K_out, name)
      redis.call('ZADD', K_due, mark(UNTIL - 1, since, fired), name)
      hold_from(SKIP_ROWS, now, name, hold, since, fired)
    end
  else
    out.paused, out.owed = { at = ms(now), who = BY, note = NOTE }, ms(owed)
    redis.call('HSET', K_out, name, cjson.encode(out))
  end
  set_object(K_hold, name, hold)
  redis.call('HSET', K_rev, name, renewed(rev, nonce))
  add_change(LOG_ROWS, '', 'op', 'pause', 'name', name, 'rev', renewed(rev, nonce), 'was', rev, 'at', ms(now),
    'pause', pause_text(out, hold, now), 'owed', ms(owed), 'who', WHO)
end

local intents = intents_by_name()
for i = 1, N do
  local name = ARGV[NAME + i]
  if codes[i] == 0 then
    pause(name, revs[i], ARGV[NONCE + i])
    withdraw_intents(intents[name], 'paused', now, SKIP_ROWS, name)
  end
end
return { table.concat(codes), ms(now) }
