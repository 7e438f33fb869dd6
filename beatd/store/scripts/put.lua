-- keys: lease def rev due out hold gone blocked last jit left skip log file req asked
-- uses: edit requests removal
-- Creates or edits entries. All or nothing: a conflict on one name refuses the whole call. Any client may call this;
-- it never computes a slot, it marks entries as to be planned (score -t: from instant t).
--
-- ARGV  format, who (JSON text for the audit), rows kept in log, rows kept in skip, number of items n; then eight
--       columns of n values each:
--         name, revision `nonce.fingerprint` with a fresh nonce, expected revision ('*' any, '' none),
--         definition (opaque), jitter in ms, runs left ('keep', '' none, a number, or '+n' or '-n': so many more
--         or fewer than there are in that instant, as a fire may come between), enabled ('1' or '0'),
--         hash of the definition for an entry owned by a file, else '';
--       then, for renames, what else goes in the same step: a number m and three columns of m values each:
--         name, expected revision ('*' any), number of the item that takes its place (1 to n; '0': none does). A new
--         entry goes on under the pause of the one whose place it takes. Items and removals together are at most 500;
--       then, for entries of files, epoch and owner of the leader that writes them (m stands there always, then).
-- Reply {one digit an item, then one a removal, TIME}. 0 done, 1 done before by this very revision (a removal: by a
--       call all of whose items were done before; or there is no such entry), 2 the stored revision is not the
--       expected one (then nothing at all was written), 5 malformed (likewise).
local FORMAT, WHO, LOG_ROWS, SKIP_ROWS, N = ARGV[1], ARGV[2], whole(ARGV[3]), whole(ARGV[4]), whole(ARGV[5])
local M, ALL = 0, 5 + 8 * (N or 0)
if #ARGV > ALL then
  M = whole(ARGV[ALL + 1])
  ALL = ALL + 1 + 3 * (M or 0)
end
if not N or N < 1 or not M or N + M > 500 or (#ARGV ~= ALL and #ARGV ~= ALL + 2) or not LOG_ROWS or not SKIP_ROWS then
  return refuse('MALFORMED', 'put takes two numbers of rows and 1 to 500 items')
end
local NAME, REV, EXPECTED, DEF, JITTER, LEFT, ENABLED, FILE =
  5, 5 + N, 5 + 2 * N, 5 + 3 * N, 5 + 4 * N, 5 + 5 * N, 5 + 6 * N, 5 + 7 * N
local GOES, GOES_EXPECTED, HEIR = 6 + 8 * N, 6 + 8 * N + M, 6 + 8 * N + 2 * M
local bad = twice(NAME, N, GOES, M) or too_large() or wrong_type() or check_format(FORMAT) or check_leader(ALL, FORMAT)
if bad then return bad end

-- Item -> which of the names that go it takes the place of.
local replaced = {}
for i = 1, M do
  local heir = whole(ARGV[HEIR + i])
  if not heir or heir > N then return refuse('MALFORMED', 'the place of ' .. ARGV[GOES + i] .. ' goes to no item') end
  replaced[heir] = i
end

-- Control characters part the rows of the history.
local function is_name(name) return name ~= '' and #name <= 800 and not find(name, '%c') end

-- '+n' or '-n' as a number, or nil.
local function difference(text)
  local sign = string.sub(text, 1, 1)
  local n = whole(string.sub(text, 2))
  return (sign == '+' and n) or (sign == '-' and n and -n) or nil
end

local codes, refused, repeated = {}, false, true
local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
for i = 1, N do
  local rev, expected, left = ARGV[REV + i], ARGV[EXPECTED + i], ARGV[LEFT + i]
  local code = 0
  if not is_name(ARGV[NAME + i]) or not fingerprint(rev) or #ARGV[DEF + i] > 131072
    or not whole(ARGV[JITTER + i]) or not (left == 'keep' or left == '' or whole(left) or difference(left))
    or not (ARGV[ENABLED + i] == '0' or ARGV[ENABLED + i] == '1') then
    code, refused = 5, true
  elseif revs[i] == rev then
    code = 1
  elseif expected ~= '*' and (revs[i] or '') ~= expected then
    code, refused = 2, true
  end
  codes[i], repeated = code, repeated and code == 1
end
local goes_revs = {}
if M > 0 then
  local goes, conflict
  goes, goes_revs, conflict = judge_removals(GOES, GOES_EXPECTED, M)
  refused = refused or (conflict and not repeated)
  -- Nobody but this very call can have removed them, and whoever came under these names since stays.
  for i = 1, M do codes[N + i] = repeated and 1 or goes[i] end
end
local now = now_ms()
if refused then return { table.concat(codes), ms(now) } end

-- One row for the range from the slot that was owed up to now: what of it the new definition does not settle, or what
-- an entry that comes back slept through.
local function swallowed(name, reason, owed, jitter)
  add_range(SKIP_ROWS, now, name, reason, owed < 0 and -owed or owed - jitter, now)
end

-- The score with which an entry goes on, and whether what it owes is given up. `owed` is the one it has, or nil.
-- Editing only what a task gets leaves a pending slot alone; a changed schedule counts from just before the slot still
-- owed. An entry that nobody has planned since instant t may owe every slot of its old schedule from t on. A pause that
-- was lifted may leave such a t in the future, where the old schedule went on: another one counts from now.
-- One without runs left is planned at once, to be finished and not to stand there until its slot.
local function next_score(owed, same_schedule, jitter, fired, hold, used_up)
  if not owed then return mark(now, fired, hold), false end
  if owed < 0 then return mark(same_schedule and -owed or math.min(now, -owed), fired, hold), not same_schedule end
  if same_schedule and not used_up and owed - jitter > hold then return ms(owed), false end
  return mark(math.min(now, settled(owed, jitter)), fired, hold), not same_schedule
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
  local left = ARGV[LEFT + i]
  if left == '' then redis.call('HDEL', K_left, name) elseif difference(left) then
    redis.call('HSET', K_left, name, ms(math.max(0, number(redis.call('HGET', K_left, name)) + difference(left))))
  elseif left ~= 'keep' then redis.call('HSET', K_left, name, left) end
  if ARGV[FILE + i] == '' then redis.call('HDEL', K_file, name) else
    redis.call('HSET', K_file, name, ARGV[FILE + i]) end
  if gone then redis.call('HDEL', K_gone, name) end
end

-- A new entry begins under the pause of the one whose place it takes; an entry of a file under that with which it went.
local function take_pause(kept, out, hold)
  out.paused = kept.paused
  if type(kept.hold) == 'table' and running(kept.hold, now) then
    for _, key in ipairs({ 'until', 'who', 'note' }) do hold[key] = kept.hold[key] end
  end
end

local function put(i)
  local name, rev, before, enabled = ARGV[NAME + i], ARGV[REV + i], revs[i], ARGV[ENABLED + i] == '1'
  local jitter = number(redis.call('HGET', K_jit, name))
  -- A moment means another slot under another jitter, whatever the writer says of the fingerprint.
  local same = before and fingerprint(before) == fingerprint(rev) and jitter == whole(ARGV[JITTER + i])
  local fired = last_slot(redis.call('HGET', K_last, name))
  local hold = object(redis.call('HGET', K_hold, name))
  local score = score_of(redis.call('ZSCORE', K_due, name)) or score_of(redis.call('ZSCORE', K_blocked, name))
  local out_text = redis.call('HGET', K_out, name)
  local out = object(out_text)
  local owed = score or score_of(out.owed)
  local gone = not before and redis.call('HGET', K_gone, name)
  local old = not before and replaced[i] and goes_revs[replaced[i]] and ARGV[GOES + replaced[i]]
  if old then
    local its_out, its_hold = object(redis.call('HGET', K_out, old)), object(redis.call('HGET', K_hold, old))
    take_pause({ paused = its_out.paused, hold = its_hold }, out, hold)
  elseif gone and ARGV[FILE + i] ~= '' then
    take_pause(object(gone), out, hold)
  end
  write(name, i, gone)

  local reason, new, given_up = return_reason(out_text, out, enabled), nil, nil
  if reason then
    -- Enabled, or mended: nothing from before this instant is owed.
    new = mark(now, fired, held(hold))
    if owed then swallowed(name, reason, owed, jitter) end
  else
    -- What stays out keeps what it owes, pause or not: only a row may pass over slots, and none is written here.
    local stays = out.paused or not enabled
    local used_up = ARGV[LEFT + i] ~= '' and redis.call('HGET', K_left, name) == '0'
    new, given_up = next_score(owed, same, jitter, fired, stays and 0 or held(hold), used_up)
    if given_up and score then swallowed(name, 'superseded', score, jitter) end
  end
  -- What the pause swallows from here on is not in the row of its beginning where this entry owes other slots than then.
  if running(hold, now) and (reason or not before or (not same and (score_of(hold.since) or 0) > now)) then
    hold_from(SKIP_ROWS, now, name, hold, now, fired)
    set_object(K_hold, name, hold)
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
  add_change(LOG_ROWS, ARGV[DEF + i], 'op', 'put', 'name', name, 'rev', rev, 'was', before or '', 'at', ms(now),
    'def', ARGV[DEF + i], 'file', ARGV[FILE + i], 'enabled', ARGV[ENABLED + i], 'pause', pause_text(out, hold, now),
    'replaces', old or '', 'who', WHO)
end

for i = 1, N do
  if codes[i] == 0 then put(i) end
end
for i = 1, M do
  if codes[N + i] == 0 then
    local heir = whole(ARGV[HEIR + i])
    heir = heir > 0 and not revs[heir] and ARGV[NAME + heir] or ''
    remove_entry(ARGV[GOES + i], goes_revs[i], now, heir, LOG_ROWS, SKIP_ROWS)
  end
end
return { table.concat(codes), ms(now) }
