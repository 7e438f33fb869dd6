-- keys: lease rev due out hold last jit left skip log
-- uses: edit
-- Gives entries their runs anew. One that is finished because its runs were used up is planned again from now; what it
-- slept through is named by a row. All or nothing.
--
-- ARGV  format, who (JSON text for the audit), rows kept in log, rows kept in skip, number of items n; then three
--       columns of n values each:
--         name, a fresh nonce, runs left (a number).
-- Reply {one digit an item, TIME}. 0 done, 1 done before under this very nonce, 2 there is no such entry (then nothing
--       at all was written), 3 its runs are not counted (likewise), 5 malformed (likewise).
local FORMAT, WHO, LOG_ROWS, SKIP_ROWS, N = ARGV[1], ARGV[2], whole(ARGV[3]), whole(ARGV[4]), whole(ARGV[5])
if not N or N < 1 or N > 500 or #ARGV ~= 5 + 3 * N or not LOG_ROWS or not SKIP_ROWS then
  return refuse('MALFORMED', 'reset takes two numbers of rows and 1 to 500 items')
end
local NAME, NONCE, LEFT = 5, 5 + N, 5 + 2 * N
local bad = twice(NAME, N) or too_large() or wrong_type() or check_format(FORMAT)
if bad then return bad end

local now = now_ms()
local codes, refused = {}, false
local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
local lefts = redis.call('HMGET', K_left, unpack(ARGV, NAME + 1, NAME + N))
for i = 1, N do
  local code, left = 0, whole(ARGV[LEFT + i])
  if not is_nonce(ARGV[NONCE + i]) or not left or left < 1 then
    code = 5
  elseif not revs[i] then
    code = 2
  elseif has_nonce(revs[i], ARGV[NONCE + i]) then
    code = 1
  elseif not lefts[i] then
    code = 3
  end
  codes[i], refused = code, refused or code > 1
end
if refused then return { table.concat(codes), ms(now) } end

-- Finished because its runs were used up: they are not any more. What else keeps it out goes on doing so.
local function begin_again(name, out)
  local fired = last_slot(redis.call('HGET', K_last, name))
  local jitter = number(redis.call('HGET', K_jit, name))
  local hold = object(redis.call('HGET', K_hold, name))
  local new = mark(now, fired, held(hold))
  -- The last run may have been one of several that were due at once: the others ended with it.
  local since = settled(score_of(out.owed) or -now, jitter)
  add_range(SKIP_ROWS, now, name, 'past', math.min(since, fired > 0 and fired or since) + 1, now)
  if running(hold, now) then
    hold_from(SKIP_ROWS, now, name, hold, now, fired)
    set_object(K_hold, name, hold)
  end
  out.finished, out.owed = nil, new
  if out.disabled or out.invalid or out.paused then
    redis.call('HSET', K_out, name, cjson.encode(out))
  else
    redis.call('HDEL', K_out, name)
    redis.call('ZADD', K_due, new, name)
  end
end

local function reset(name, rev, nonce, before, left)
  local out = object(redis.call('HGET', K_out, name))
  redis.call('HSET', K_left, name, left)
  redis.call('HSET', K_rev, name, renewed(rev, nonce))
  if out.finished and whole(before) == 0 then begin_again(name, out) end
  add_change(LOG_ROWS, '', 'op', 'reset', 'name', name, 'rev', renewed(rev, nonce), 'was', rev, 'at', ms(now),
    'left', left, 'who', WHO)
end

for i = 1, N do
  if codes[i] == 0 then reset(ARGV[NAME + i], revs[i], ARGV[NONCE + i], lefts[i], ARGV[LEFT + i]) end
end
return { table.concat(codes), ms(now) }
