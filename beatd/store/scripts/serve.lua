-- keys: lease rev due out hold blocked jit req asked hist ob obm
-- uses: edit requests intents
-- Serves a part of one request: pushes messages and moves the request's cursor, in one atomic step, once per cursor.
-- The timetable, the last fire and the runs left are not touched. A script of its own: fire.lua is the hot path.
--
-- KEYS  the above, then the queue, where there are messages to be pushed.
-- ARGV  epoch, owner, format, rows kept in hist, id, name, revision that this was decided by ('' there is none),
--       expected cursor, next cursor, outcome (open, done, refused), why (a text without '|'), cause (trigger,
--       backfill), task id of a trigger (else ''), slots (comma separated); then a message for each slot; then, where no
--       queue is named, the head of an intent for each: they are kept as settle keeps them, for another broker.
-- Reply {code, TIME, seq, place}; intents have the ids `seq-place` and on. 0 done, 1 the request is not open, its cursor
--       is another one, or it is not one of this entry, 2 gone or another revision, 3 a backfill reaches slots that the
--       timetable still owes (or has none to go by), 4 queue of a wrong type, 5 malformed. Only 0 writes. Nothing at all
--       is done (FULL) where there are too many intents.
local EPOCH, OWNER, FORMAT, HIST_ROWS = ARGV[1], ARGV[2], ARGV[3], whole(ARGV[4])
local ID, NAME, REV, EXPECTED, NEXT = ARGV[5], ARGV[6], ARGV[7], whole(ARGV[8]), whole(ARGV[9])
local OUTCOME, WHY, CAUSE, TASK_ID, SLOTS = ARGV[10], ARGV[11], ARGV[12], ARGV[13], ARGV[14]
local HEAD, QUEUE = 14, KEYS[#KEY_NAMES + 1]
local M = (#ARGV - HEAD) / (QUEUE and 1 or 2)
if M < 0 or M > 100 or M % 1 ~= 0 or not HIST_ROWS or #KEYS > #KEY_NAMES + 1 or (M == 0 and QUEUE) then
  return refuse('MALFORMED', 'serve takes a number of rows, one request, at most 100 messages, and their queue or heads')
end
local bytes = 0
for i = HEAD + 1, HEAD + M do bytes = bytes + #ARGV[i] end
if bytes > 262144 then return refuse('MALFORMED', 'one call carries at most 262144 bytes of messages') end
local bad = wrong_type({ hist = true })
if bad then return bad end
local lease = redis.call('HMGET', K_lease, 'epoch', 'owner', 'format', 'seq', 'served')
bad = fence(lease, EPOCH, OWNER, FORMAT) or (not QUEUE and outbox_full(M))
if bad then return bad end

local now = now_ms()
local OUTCOMES, CAUSES = { open = true, done = true, refused = true }, { trigger = true, backfill = true }

-- The last of the slots, which are ascending, a message each, and lie in (expected, next]; nil when they are not.
local function last_of(slots)
  local previous, found = EXPECTED, 0
  for piece in string.gmatch(slots .. ',', '([^,]*),') do
    local slot = whole(piece)
    if not slot or slot <= previous or slot > NEXT then return nil end
    previous, found = slot, found + 1
  end
  return found == M and previous or nil
end

-- Up to which instant slots are settled: nobody but a backfill fires them any more. What a pause passes over is owed
-- to whoever lifts it. nil where the entry is in no place.
local function settled_to()
  local score = score_of(redis.call('ZSCORE', K_due, NAME)) or score_of(redis.call('ZSCORE', K_blocked, NAME))
  local out_text = redis.call('HGET', K_out, NAME)
  if not score and not out_text then return nil end
  local jitter, hold = number(redis.call('HGET', K_jit, NAME)), object(redis.call('HGET', K_hold, NAME))
  local to = settled(score or score_of(object(out_text).owed) or -now, jitter)
  if hold.since and running(hold, now) then to = math.min(to, score_of(hold.since) or now) end
  return math.min(to, now)
end

local request, last = nil, nil
local function judge()
  if not EXPECTED or not NEXT or NEXT < EXPECTED or not OUTCOMES[OUTCOME] or not CAUSES[CAUSE] or find(WHY, '[|%c]')
    or (M == 0 and (SLOTS ~= '' or OUTCOME == 'open')) or (M > 0 and REV == '') then
    return 5
  end
  if M > 0 then
    last = last_of(SLOTS)
    if not last then return 5 end
  end
  for i = HEAD + M + 1, #ARGV do
    if read_head(ARGV[i]) ~= NAME then return 5 end
  end
  request = read_request(redis.call('HGET', K_req, ID))
  if not request or request.state ~= 'open' or tonumber(request.cursor) ~= EXPECTED then return 1 end
  if not is_listed(redis.call('HGET', K_asked, NAME), ID) then return 1 end
  if (redis.call('HGET', K_rev, NAME) or '') ~= REV then return 2 end
  if M > 0 and CAUSE == 'backfill' and last > (settled_to() or -1) then return 3 end
  if QUEUE then
    -- A queue named like a key of ours is none, as in fire.lua.
    local found = redis.call('TYPE', QUEUE).ok
    if (found ~= 'list' and found ~= 'none') or string.sub(QUEUE, 1, 7) == '{beatd:' then return 4 end
  end
  return 0
end

local seq, place = number(lease[4]), 1001 + number(lease[5])
local code = judge()
if code ~= 0 then return { code, ms(now), ms(seq), ms(place) } end

-- The push comes first: it is the one that a memory limit, a lost disk or too few replicas refuse, and then nothing has
-- been written. All that follows at once can't fail any more.
if QUEUE then redis.call('LPUSH', QUEUE, unpack(ARGV, HEAD + 1)) elseif M > 0 then
  local function ids_from(first)
    local ids = {}
    for i = 1, M do ids[i] = ms(seq) .. '-' .. ms(first + i - 1) end
    return ids
  end
  while in_use(ids_from(place)) do place = place + 1 end
  local heads, messages = {}, {}
  for i = 1, M do heads[i], messages[i] = HEAD + M + i, HEAD + i end
  keep_intents(ids_from(place), heads, messages)
  -- A count of its own: by `seq` the leader knows its batches.
  redis.call('HSET', K_lease, 'served', ms(place - 1001 + M))
end
request.state, request.cursor, request.why = OUTCOME, ms(NEXT), WHY
request.pushed = ms(tonumber(request.pushed) + M)
if OUTCOME ~= 'open' then request.at = ms(now) end
write_request(ID, request)
if OUTCOME ~= 'open' then take_off(NAME, redis.call('HGET', K_asked, NAME), ID) end
if M > 0 then
  add_row(K_hist, HIST_ROWS, 'epoch', EPOCH, 'at', ms(now), 'cause', CAUSE, 'id', TASK_ID, 'fires', NAME .. US .. SLOTS)
end
return { 0, ms(now), ms(seq), ms(place) }
