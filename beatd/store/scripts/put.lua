-- keys: lease def rev due out hold gone blocked last jit left skip log file
-- Creates or edits entries. All or nothing: a conflict on one name refuses the whole call. Any client may call this;
-- it never computes a slot, it marks entries as to be planned (score -t: from instant t).
--
-- ARGV  format, who (JSON text for the audit), rows kept in log, rows kept in skip, number of items n; then eight
--       columns of n values each:
--         name, revision `nonce.fingerprint` with a fresh nonce, expected revision ('*' any, '' none),
--         definition (opaque), jitter in ms, runs left ('keep', '' none, or a number), enabled ('1' or '0'),
--         hash of the definition for an entry owned by a file, else ''.
-- Reply {one digit an item, TIME}. 0 done, 1 done before by this very revision, 2 the stored revision is not the
--       expected one (then nothing at all was written), 5 malformed (likewise).
local FORMAT, WHO, LOG_ROWS, SKIP_ROWS, N = ARGV[1], ARGV[2], whole(ARGV[3]), whole(ARGV[4]), whole(ARGV[5])
if not N or N < 1 or N > 500 or #ARGV ~= 5 + 8 * N or not LOG_ROWS or not SKIP_ROWS then
  return refuse('MALFORMED', 'put takes two numbers of rows and 1 to 500 items')
end
local NAME, REV, EXPECTED, DEF, JITTER, LEFT, ENABLED, FILE =
  5, 5 + N, 5 + 2 * N, 5 + 3 * N, 5 + 4 * N, 5 + 5 * N, 5 + 6 * N, 5 + 7 * N
local doubled = twice(NAME + 1, N)
if doubled then return refuse('MALFORMED', 'the name ' .. doubled .. ' stands twice in one call') end
local bad = too_large() or wrong_type() or check_format(FORMAT)
if bad then return bad end

local function fingerprint(rev) return string.match(rev, '^[^.]+%.(.+)$') end

-- Control characters part the rows of the history.
local function is_name(name) return name ~= '' and #name <= 800 and not find(name, '%c') end

local codes, refused = {}, false
local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
for i = 1, N do
  local rev, expected, left = ARGV[REV + i], ARGV[EXPECTED + i], ARGV[LEFT + i]
  local code = 0
  if not is_name(ARGV[NAME + i]) or not fingerprint(rev) or #ARGV[DEF + i] > 131072
    or not whole(ARGV[JITTER + i]) or not (left == 'keep' or left == '' or whole(left))
    or not (ARGV[ENABLED + i] == '0' or ARGV[ENABLED + i] == '1') then
    code, refused = 5, true
  elseif revs[i] == rev then
    code = 1
  elseif expected ~= '*' and (revs[i] or '') ~= expected then
    code, refused = 2, true
  end
  codes[i] = code
end
local now = now_ms()
if refused then return { table.concat(codes), ms(now) } end

-- One row for the range from the slot that was owed up to now: what of it the new definition does not settle, or what
-- an entry that comes back slept through. The count 0 says that nobody has counted.
local function swallowed(name, reason, owed, jitter)
  local from = owed < 0 and -owed or owed - jitter
  if from <= now then
    add_row(K_skip, SKIP_ROWS, 'at', ms(now), 'skips', name .. US .. reason .. ':0:' .. ms(from) .. ':' .. ms(now))
  end
end

-- The score of an entry that is to be planned from instant t, never before its last fire or inside a pause. The
-- score 0 would mean a moment in 1970, not a mark: the smallest t is 1.
local function mark(t, fired, hold)
  return '-' .. ms(math.max(t, fired, hold, 1))
end

-- The score with which an entry goes on, and whether what it owes is given up. `owed` is the one it has, or nil.
-- Editing only what a task gets leaves a pending slot alone; a changed schedule counts from just before the slot still
-- owed. An entry that nobody has planned since instant t may owe every slot of its old schedule from t on.
local function next_score(owed, same_schedule, jitter, fired, hold)
  if not owed then return mark(now, fired, hold), false end
  if owed < 0 then return mark(-owed, fired, hold), not same_schedule end
  local held = hold > now and owed - jitter <= hold
  if same_schedule and not held then return ms(owed), false end
  return mark(math.min(now, owed - jitter - 1), fired, hold), not same_schedule
end

-- Why an entry comes back to be planned from this instant, as the reason of what it slept through; nil when it does
-- not. What is in `out` without a reason that can be read was spoilt, and this edit mends it.
local function return_reason(out_text, out, enabled)
  if out.invalid then return 'invalid' end
  if out.disabled then return enabled and 'disabled' end
  if out.finished then return 'past' end
  return out_text and not out.paused and 'invalid'
end

local function write(name, i, gone)
  redis.call('HSET', K_def, name, ARGV[DEF + i])
  redis.call('HSET', K_rev, name, ARGV[REV + i])
  if whole(ARGV[JITTER + i]) == 0 then redis.call('HDEL', K_jit, name) else
    redis.call('HSET', K_jit, name, ARGV[JITTER + i]) end
  if ARGV[LEFT + i] == '' then redis.call('HDEL', K_left, name) elseif ARGV[LEFT + i] ~= 'keep' then
    redis.call('HSET', K_left, name, ARGV[LEFT + i]) end
  if ARGV[FILE + i] == '' then redis.call('HDEL', K_file, name) else
    redis.call('HSET', K_file, name, ARGV[FILE + i]) end
  if gone then redis.call('HDEL', K_gone, name) end
end

local function put(i)
  local name, rev, before, enabled = ARGV[NAME + i], ARGV[REV + i], revs[i], ARGV[ENABLED + i] == '1'
  local jitter = number(redis.call('HGET', K_jit, name))
  -- A moment means another slot under another jitter, whatever the writer says of the fingerprint.
  local same = before and fingerprint(before) == fingerprint(rev) and jitter == whole(ARGV[JITTER + i])
  local fired = last_slot(redis.call('HGET', K_last, name))
  local hold = score_of(object(redis.call('HGET', K_hold, name))['until']) or 0
  local score = score_of(redis.call('ZSCORE', K_due, name)) or score_of(redis.call('ZSCORE', K_blocked, name))
  local out_text = redis.call('HGET', K_out, name)
  local out = object(out_text)
  local owed = score or score_of(out.owed)
  local gone = not before and redis.call('HGET', K_gone, name)
  if gone and ARGV[FILE + i] ~= '' then out.paused = object(gone).paused end
  write(name, i, gone)

  local reason, new, given_up = return_reason(out_text, out, enabled), nil, nil
  if reason then
    -- Enabled, or mended: nothing from before this instant is owed.
    new = mark(now, fired, hold)
    if owed then swallowed(name, reason, owed, jitter) end
  else
    new, given_up = next_score(owed, same, jitter, fired, hold)
    if given_up and score then swallowed(name, 'superseded', score, jitter) end
  end
  out.finished, out.invalid = nil, nil
  if enabled then out.disabled = nil elseif not out.disabled then out.disabled = { at = ms(now) } end
  redis.call('ZREM', K_blocked, name)
  if out.paused or out.disabled then
    -- It stays outside the timetable. What it owes follows the edit, for the day it comes back.
    out.owed = new
    redis.call('ZREM', K_due, name)
    redis.call('HSET', K_out, name, cjson.encode(out))
  else
    redis.call('HDEL', K_out, name)
    redis.call('ZADD', K_due, new, name)
  end
  add_row(K_log, LOG_ROWS, 'op', 'put', 'name', name, 'rev', rev, 'was', before or '', 'who', WHO)
end

for i = 1, N do
  if codes[i] == 0 then put(i) end
end
return { table.concat(codes), ms(now) }
