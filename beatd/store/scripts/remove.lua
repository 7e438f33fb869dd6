-- keys: lease def rev due out hold gone blocked jit left log file
-- flags: allow-oom
-- Removes entries. After the reply nothing of their old definitions enters a queue. All or nothing, as put.
--
-- ARGV  format, who (JSON text for the audit), rows kept in log, number of items n; then two columns of n values each:
--         name, expected revision ('*' any).
-- Reply {one digit an item, TIME}. 0 done, 1 there is no such entry, 2 the stored revision is not the expected one
--       (then nothing at all was written).
local FORMAT, WHO, LOG_ROWS, N = ARGV[1], ARGV[2], whole(ARGV[3]), whole(ARGV[4])
if not N or N < 1 or N > 500 or #ARGV ~= 4 + 2 * N or not LOG_ROWS then
  return refuse('MALFORMED', 'remove takes a number of rows and 1 to 500 items')
end
local NAME, EXPECTED = 4, 4 + N
local doubled = twice(NAME + 1, N)
if doubled then return refuse('MALFORMED', 'the name ' .. doubled .. ' stands twice in one call') end
local bad = too_large() or wrong_type() or check_format(FORMAT)
if bad then return bad end

local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
local codes, refused = {}, false
for i = 1, N do
  local code = 0
  if not revs[i] then
    code = 1
  elseif ARGV[EXPECTED + i] ~= '*' and ARGV[EXPECTED + i] ~= revs[i] then
    code, refused = 2, true
  end
  codes[i] = code
end
local now = now_ms()
if refused then return { table.concat(codes), ms(now) } end

-- ZREM comes first: servers refuse growth under memory pressure before a script's first write only, and taking
-- something away always works.
local function remove(name, rev)
  local score = redis.call('ZSCORE', K_due, name) or redis.call('ZSCORE', K_blocked, name)
  local out = object(redis.call('HGET', K_out, name))
  redis.call('ZREM', K_due, name)
  redis.call('ZREM', K_blocked, name)
  for _, key in ipairs({ K_out, K_hold, K_def, K_rev, K_jit, K_left }) do redis.call('HDEL', key, name) end
  local from_file = redis.call('HDEL', K_file, name) == 1
  local note = { at = ms(now), file = from_file }
  if from_file then note.paused = out.paused end
  redis.call('HSET', K_gone, name, cjson.encode(note))
  local owed = score_of(score or out.owed)
  add_row(K_log, LOG_ROWS, 'op', 'remove', 'name', name, 'rev', '', 'was', rev, 'owed', owed and ms(owed) or '',
    'who', WHO)
end

for i = 1, N do
  if codes[i] == 0 then remove(ARGV[NAME + i], revs[i]) end
end
return { table.concat(codes), ms(now) }
