-- How entries go for good: on their own (remove), or as the half of a rename that goes (put).

-- Codes and revisions of names to be removed, and whether one of them refuses the whole call: 0 to be done, 1 there is
-- no such entry, 2 the stored revision is not the expected one. `names` and `expected`: the places before the first.
local function judge_removals(names, expected, n)
  local revs, codes, refused = redis.call('HMGET', K_rev, unpack(ARGV, names + 1, names + n)), {}, false
  for i = 1, n do
    codes[i] = not revs[i] and 1 or (ARGV[expected + i] ~= '*' and ARGV[expected + i] ~= revs[i]) and 2 or 0
    refused = refused or codes[i] == 2
  end
  return codes, revs, refused
end

-- ZREM comes first: servers refuse growth under memory pressure before a script's first write only, and taking
-- something away always works. The pause of a file entry is kept for the day its line comes back, unless another entry
-- goes on in its place (`heir`, else ''). A row names the range of what it still owed.
local function remove_entry(name, rev, at, heir, log_rows, skip_rows)
  local jitter, fired = number(redis.call('HGET', K_jit, name)), last_slot(redis.call('HGET', K_last, name))
  local score = redis.call('ZSCORE', K_due, name) or redis.call('ZSCORE', K_blocked, name)
  local out, hold = object(redis.call('HGET', K_out, name)), object(redis.call('HGET', K_hold, name))
  local definition = redis.call('HGET', K_def, name) or ''
  if #definition > 131072 then definition = '' end -- somebody else's: no row may be that large
  redis.call('ZREM', K_due, name)
  redis.call('ZREM', K_blocked, name)
  withdraw(name, 'removed', at)
  for _, key in ipairs({ K_out, K_hold, K_def, K_rev, K_jit, K_left }) do redis.call('HDEL', key, name) end
  local from_file = redis.call('HDEL', K_file, name) == 1
  local note = { at = ms(at), file = from_file }
  if from_file and heir == '' then
    note.paused = out.paused
    if running(hold, at) then note.hold = { ['until'] = hold['until'], who = hold.who, note = hold.note } end
  end
  redis.call('HSET', K_gone, name, cjson.encode(note))
  local owed = score_of(score or out.owed)
  if owed and not out.finished then
    add_range(skip_rows, at, name, 'removed', math.max(settled(owed, jitter), fired) + 1, at)
  end
  add_change(log_rows, definition, 'op', 'remove', 'name', name, 'rev', '', 'was', rev, 'at', ms(at),
    'def', definition, 'owed', owed and ms(owed) or '', 'heir', heir, 'who', ARGV[2])
end
