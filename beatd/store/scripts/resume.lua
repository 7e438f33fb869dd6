-- keys: lease rev due out hold blocked last jit skip log
-- uses: edit
-- Lifts pauses, with an end or without. Other reasons to be out of the timetable stay. All or nothing.
--
-- ARGV  format, who (JSON text for the audit), rows kept in log, rows kept in skip, catch-up ('1': go on from the slot
--       owed when the pause began; '0': from now, and a row names what the pause swallowed), number of items n; then
--       two columns of n values each:
--         name, a fresh nonce.
-- Reply {one digit an item, TIME}. 0 done, 1 nothing to do: it is not paused, or this very nonce has done it; 2 there is
--       no such entry (then nothing at all was written), 5 malformed (likewise).
local FORMAT, WHO, LOG_ROWS, SKIP_ROWS = ARGV[1], ARGV[2], whole(ARGV[3]), whole(ARGV[4])
local CATCHUP, N = ARGV[5], whole(ARGV[6])
if not N or N < 1 or N > 500 or #ARGV ~= 6 + 2 * N or not LOG_ROWS or not SKIP_ROWS
  or (CATCHUP ~= '0' and CATCHUP ~= '1') then
  return refuse('MALFORMED', 'resume takes two numbers of rows, 0 or 1, and 1 to 500 items')
end
local NAME, NONCE = 6, 6 + N
local bad = twice(NAME, N) or too_large() or wrong_type() or check_format(FORMAT)
if bad then return bad end

local now = now_ms()
local codes, refused, outs, holds = {}, false, {}, {}
local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))

for i = 1, N do
  local name, code = ARGV[NAME + i], 0
  outs[i], holds[i] = object(redis.call('HGET', K_out, name)), object(redis.call('HGET', K_hold, name))
  if not is_nonce(ARGV[NONCE + i]) then
    code = 5
  elseif not revs[i] then
    code = 2
  elseif has_nonce(revs[i], ARGV[NONCE + i]) or not (outs[i].paused or running(holds[i], now)) then
    code = 1
  end
  codes[i], refused = code, refused or code > 1
end
if refused then return { table.concat(codes), ms(now) } end

-- Back into the timetable, or left out for another reason: then what is owed waits for the edit that ends that one.
local function go_on(name, out, since, fired)
  out.paused = nil
  if out.disabled or out.invalid or out.finished then
    redis.call('HSET', K_out, name, cjson.encode(out))
    return
  end
  redis.call('HDEL', K_out, name)
  redis.call('ZREM', K_blocked, name)
  if CATCHUP == '1' then
    redis.call('ZADD', K_due, mark(since, fired), name)
  else
    redis.call('ZADD', K_due, mark(now, fired), name)
    add_range(SKIP_ROWS, now, name, 'paused', math.max(since, fired) + 1, now)
  end
end

local function resume(name, rev, nonce, out, hold)
  local score = score_of(redis.call('ZSCORE', K_due, name)) or score_of(redis.call('ZSCORE', K_blocked, name))
  local jitter, fired = number(redis.call('HGET', K_jit, name)), last_slot(redis.call('HGET', K_last, name))
  local since = settled(score or score_of(out.owed) or -now, jitter)
  if hold.since and running(hold, now) then
    -- What ended inside a pause may not have ended yet.
    since, out.finished = score_of(hold.since) or now, nil
  end
  -- Nothing up to this instant is planned any more, however far back from a mark the leader looks for an instant.
  local after = score_of(hold.after)
  if CATCHUP == '0' then after = math.max(after or 0, now) end
  set_object(K_hold, name, { after = after and ms(after) })
  go_on(name, out, since, fired)
  redis.call('HSET', K_rev, name, renewed(rev, nonce))
  add_change(LOG_ROWS, '', 'op', 'resume', 'name', name, 'rev', renewed(rev, nonce), 'was', rev, 'at', ms(now),
    'catchup', CATCHUP, 'who', WHO)
end

for i = 1, N do
  if codes[i] == 0 then resume(ARGV[NAME + i], revs[i], ARGV[NONCE + i], outs[i], holds[i]) end
end
return { table.concat(codes), ms(now) }
