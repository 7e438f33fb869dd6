-- keys: lease skip ob obm
-- flags: allow-oom
-- uses: edit intents
-- Takes intents out of the outbox. Under an id that came again after a rollback another intent may lie: each is taken out
-- only where it is still the one that is meant.
--
-- ARGV  outcome, epoch and owner ('' unless U), format, rows kept in skip, who (JSON text, '' unless W), number of intents
--       n; then three columns of n values each:
--         id; task id (with S: the head as it was read); why it is given up (a text for people, with U and W).
--       outcome: D the broker has it: nothing is said of it; M it stays, marked as about to be sent, for it must not be
--         sent again;
--         U undeliverable: the leader gives it up; W somebody does; S its head can't be read.
-- Reply {one digit an intent, TIME}. 0 taken out (with M: marked), 1 there is no such intent, or it is another one.
local OUTCOME, EPOCH, OWNER, FORMAT = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local SKIP_ROWS, WHO, N = whole(ARGV[5]), ARGV[6], whole(ARGV[7])
if not SKIP_ROWS or not N or N < 1 or N > 500 or #ARGV ~= 7 + 3 * N or not find(OUTCOME, '^[DMUWS]$') then
  return refuse('MALFORMED', 'done takes an outcome, a number of rows and 1 to 500 intents')
end
local ID, TASK_ID, WHY = 7, 7 + N, 7 + 2 * N
local bad = too_large() or wrong_type({ skip = true })
if bad then return bad end
if OUTCOME == 'U' then
  bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), EPOCH, OWNER, FORMAT)
else
  bad = check_format(FORMAT)
end
if bad then return bad end

local now = now_ms()
local codes, ids, rows, marks = {}, {}, {}, {}
local stored = redis.call('HMGET', K_ob, unpack(ARGV, ID + 1, ID + N))
local seen = {}
for i = 1, N do
  local id = ARGV[ID + i]
  local name, slot, task_id = read_head(stored[i])
  local is_it = task_id == ARGV[TASK_ID + i]
  if OUTCOME == 'S' then is_it = stored[i] == ARGV[TASK_ID + i] end
  local mark = OUTCOME == 'M' and is_it and marked(stored[i])
  if OUTCOME == 'M' then is_it = mark end
  codes[i] = is_it and not seen[id] and '0' or '1'
  if codes[i] == '0' then
    seen[id] = true
    if mark then
      marks[#marks + 1], marks[#marks + 2] = id, mark
    else
      ids[#ids + 1] = id
    end
    if OUTCOME == 'U' or OUTCOME == 'W' then
      rows[#rows + 1] = { name .. US .. 'undeliverable:1:' .. slot .. ':' .. slot, ARGV[WHY + i] }
    end
  end
end
if #marks > 0 then redis.call('HSET', K_ob, unpack(marks)) end
drop_intents(ids)
for _, row in ipairs(rows) do
  if OUTCOME == 'U' then
    add_row(K_skip, SKIP_ROWS, 'epoch', EPOCH, 'at', ms(now), 'skips', row[1], 'why', row[2])
  else
    add_row(K_skip, SKIP_ROWS, 'at', ms(now), 'skips', row[1], 'why', row[2], 'who', WHO)
  end
end
return { table.concat(codes), ms(now) }
