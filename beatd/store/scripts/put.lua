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
local FORMAT, WHO, LOG_ROWS, SKIP_ROWS, N = ARGV[1], ARGV[2], ARGV[3], ARGV[4], whole(ARGV[5])
if not N or N < 1 or N > 500 or #ARGV ~= 5 + 8 * N then
  return refuse('MALFORMED', 'put takes 1 to 500 items')
end
local NAME, REV, EXPECTED, DEF, JITTER, LEFT, ENABLED, FILE =
  5, 5 + N, 5 + 2 * N, 5 + 3 * N, 5 + 4 * N, 5 + 5 * N, 5 + 6 * N, 5 + 7 * N
local bytes = 0
for i = 1, #ARGV do bytes = bytes + #ARGV[i] end
if bytes > 1048576 then return refuse('MALFORMED', 'one call carries at most 1048576 bytes') end
local doubled = twice(NAME + 1, N)
if doubled then return refuse('MALFORMED', 'the name ' .. doubled .. ' stands twice in one call') end
local bad = wrong_type() or check_format(FORMAT)
if bad then return bad end

local function fingerprint(rev) return string.match(rev, '%.(.*)$') end

local codes, refused = {}, false
local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
for i = 1, N do
  local rev, expected, left = ARGV[REV + i], ARGV[EXPECTED + i], ARGV[LEFT + i]
  local code = 0
  if ARGV[NAME + i] == '' or #ARGV[NAME + i] > 800 or not fingerprint(rev) or #ARGV[DEF + i] > 131072
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

-- One row for what the old schedule still owed and the new one does not settle, or for what an entry slept through.
local function swallowed(name, reason, from)
  if from <= now then
    redis.call('XADD', K_skip, 'MAXLEN', '~', SKIP_ROWS, '*', 'at', ms(now), 'skips',
      name .. US .. reason .. ':0:' .. ms(from) .. ':' .. ms(now))
  end
end

-- The score with which an entry goes on being scheduled. `score` is the one it has in `due` or `blocked`, or nil.
-- Editing only what a task gets leaves a pending slot alone; a changed schedule counts from just before the slot
-- that is still owed; and nothing is ever planned at or before the last fire.
local function next_score(score, same_schedule, jitter, fired, hold)
  if score and score >= 0 and same_schedule then return ms(score), false end
  local t = now
  if score and score < 0 then
    t = -score
  elseif score then
    t = math.min(now, score - jitter - 1)
  end
  t = math.max(t, fired, hold, 0)
  -- The score 0 would mean a moment in 1970, not a mark: the smallest t is 1.
  return '-' .. ms(math.max(t, 1)), score and score >= 0
end

local function put(i)
  local name, rev, enabled = ARGV[NAME + i], ARGV[REV + i], ARGV[ENABLED + i] == '1'
  local before = revs[i]
  local same = before and fingerprint(before) == fingerprint(rev)
  local jitter = tonumber(redis.call('HGET', K_jit, name) or 0)
  local fired = last_slot(redis.call('HGET', K_last, name))
  local hold = tonumber(object(redis.call('HGET', K_hold, name))['until']) or 0
  local score = score_of(redis.call('ZSCORE', K_due, name)) or score_of(redis.call('ZSCORE', K_blocked, name))
  local out_text = redis.call('HGET', K_out, name)
  local out = object(out_text)
  local gone = not before and redis.call('HGET', K_gone, name)
  if gone and ARGV[FILE + i] ~= '' then out.paused = object(gone).paused end

  redis.call('HSET', K_def, name, ARGV[DEF + i])
  redis.call('HSET', K_rev, name, rev)
  if ARGV[JITTER + i] == '0' then redis.call('HDEL', K_jit, name) else
    redis.call('HSET', K_jit, name, ARGV[JITTER + i]) end
  if ARGV[LEFT + i] == '' then redis.call('HDEL', K_left, name) elseif ARGV[LEFT + i] ~= 'keep' then
    redis.call('HSET', K_left, name, ARGV[LEFT + i]) end
  if ARGV[FILE + i] == '' then redis.call('HDEL', K_file, name) else
    redis.call('HSET', K_file, name, ARGV[FILE + i]) end
  if gone then redis.call('HDEL', K_gone, name) end

  local owed = score_of(out.owed)
  local was_off, was_ended = out.disabled, out.finished or out.invalid
  if was_ended then owed = nil end
  out.finished, out.invalid = nil, nil
  if enabled then out.disabled = nil elseif not out.disabled then out.disabled = { at = ms(now) } end

  if out.paused or out.disabled then
    -- It stays outside the timetable. What it owes follows the edit, for the day it comes back.
    local keep, changed = next_score(score or owed, same, jitter, fired, hold)
    if changed and score then swallowed(name, 'superseded', score - jitter) end
    out.owed = keep
    redis.call('ZREM', K_due, name)
    redis.call('ZREM', K_blocked, name)
    redis.call('HSET', K_out, name, cjson.encode(out))
  elseif out_text then
    -- Enabled, or mended: nothing from before this instant is owed.
    local from = math.max(now, fired, hold)
    if was_off and owed then swallowed(name, 'disabled', math.abs(owed)) end
    redis.call('HDEL', K_out, name)
    redis.call('ZADD', K_due, '-' .. ms(from), name)
  else
    local new, changed = next_score(score, same, jitter, fired, hold)
    if changed then swallowed(name, 'superseded', score - jitter) end
    redis.call('ZREM', K_blocked, name)
    redis.call('ZADD', K_due, new, name)
  end
  redis.call('XADD', K_log, 'MAXLEN', '~', LOG_ROWS, '*', 'op', 'put', 'name', name, 'rev', rev,
    'was', before or '', 'who', WHO)
end

for i = 1, N do
  if codes[i] == 0 then put(i) end
end
return { table.concat(codes), ms(now) }
