-- keys: lease rev req asked log meta
-- uses: edit requests
-- Asks for messages of entries beside their timetable: now (a trigger), or of past slots (a backfill). The leader serves
-- them (serve.lua), also those of a paused entry; a pause or a removal after this withdraws them. All or nothing.
--
-- ARGV  format, who (JSON text for the audit), rows kept in log, number of requests n; then five columns of n values
--       each:
--         id (of at most 36 letters, digits, dashes), name of the entry, cursor (a backfill: the instant behind which it begins, ms; a trigger: 0),
--         the value in T:req that this goes on from ('' for a new one), text (a JSON object; docs/protocol.md).
-- Reply {one digit a request, TIME}. 0 done, 1 there is one of this id (and it is not the given value), 2 there is no
--       such entry (then nothing at all was written), 3 the entry has 100 open ones, or 100,000 or 64 MB of texts are
--       kept (likewise), 5 malformed (likewise).
local MOST_OPEN, MOST_KEPT, MOST_BYTES, MOST_TEXT, MOST_TOLD = 100, 100000, 67108864, 131072, 4096
local FORMAT, WHO, LOG_ROWS, N = ARGV[1], ARGV[2], whole(ARGV[3]), whole(ARGV[4])
if not N or N < 1 or N > 500 or #ARGV ~= 4 + 5 * N or not LOG_ROWS then
  return refuse('MALFORMED', 'request takes a number of rows and 1 to 500 requests')
end
local ID, NAME, CURSOR, BEFORE, TEXT = 4, 4 + N, 4 + 2 * N, 4 + 3 * N, 4 + 4 * N
local bad = twice(ID, N) or too_large() or wrong_type() or check_format(FORMAT)
if bad then return bad end

local function is_object(text) return find(text, '^{.*}$') and pcall(cjson.decode, text) end

local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
local stored = redis.call('HMGET', K_req, unpack(ARGV, ID + 1, ID + N))
local asked = redis.call('HMGET', K_asked, unpack(ARGV, NAME + 1, NAME + N))
local kept = redis.call('HLEN', K_req)
local counted = request_bytes()
local bytes = kept > 0 and counted or 0
local now, codes, refused, count = now_ms(), {}, false, {}

-- Whether an ended request may go on from where it stood.
local function goes_on(i)
  local r = stored[i] == ARGV[BEFORE + i] and read_request(stored[i])
  return r and (r.state == 'withdrawn' or r.state == 'refused')
end

for i = 1, N do
  local name, id, code = ARGV[NAME + i], ARGV[ID + i], 0
  count[name] = count[name] or #listed(asked[i])
  local before = read_request(stored[i])
  local growth = #ARGV[TEXT + i] - (before and #before.text or 0)
  if id == '' or #id > 36 or find(id, '[^%w-]') or not whole(ARGV[CURSOR + i]) or #ARGV[TEXT + i] > MOST_TEXT
    or not is_object(ARGV[TEXT + i]) then
    code = 5
  elseif stored[i] and not goes_on(i) then
    code = 1
  elseif not revs[i] then
    code = 2
  elseif count[name] >= MOST_OPEN or (not stored[i] and kept >= MOST_KEPT)
    or (growth > 0 and bytes + growth > MOST_BYTES) then
    code = 3
  else
    count[name] = count[name] + 1
    bytes = math.max(0, bytes + growth)
    if not stored[i] then kept = kept + 1 end
  end
  codes[i], refused = code, refused or code > 1
end
if refused then return { table.concat(codes), ms(now) } end

local function ask(i)
  local id, name, text = ARGV[ID + i], ARGV[NAME + i], ARGV[TEXT + i]
  local r = read_request(stored[i]) or { cursor = ARGV[CURSOR + i], pushed = '0' }
  r.state, r.at, r.why, r.text = 'open', ms(now), '', text
  write_request(id, r)
  local others = redis.call('HGET', K_asked, name)
  redis.call('HSET', K_asked, name, others and others .. US .. id or id)
  add_row(K_log, LOG_ROWS, 'op', 'request', 'name', name, 'rev', revs[i], 'was', revs[i], 'id', id,
    'asks', #text <= MOST_TOLD and text or '', 'who', WHO)
end

for i = 1, N do
  if codes[i] == 0 then ask(i) end
end
if bytes ~= counted then redis.call('HSET', K_meta, 'req_bytes', ms(bytes)) end
return { table.concat(codes), ms(now) }
