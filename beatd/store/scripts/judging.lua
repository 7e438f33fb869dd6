-- The first half of a batch, for fire and settle: reads the call, and judges each item by what is stored. Nothing is
-- written here. Leaves for what comes behind it: `codes`, `item_terms`, `accepted` (places of the `taken` items that go
-- through), `blocked`, `seq`, and `pushes` (number of a queue -> its messages).
--
-- Every step is one command for the whole batch, and terms are read once per distinct text: that is what makes
-- 100 fires cost little more than 100 pushes (docs/performance.md).
local ARGV, KEYS = ARGV, KEYS -- locals: a global is looked up at every use
local EPOCH, OWNER, FORMAT = ARGV[1], ARGV[2], ARGV[3]
local HIST_ROWS, SKIP_ROWS = whole(ARGV[4]), whole(ARGV[5])
local N, M = whole(ARGV[6]), whole(ARGV[7])
local FIXED_KEYS = #KEY_NAMES
if not N or not M or N < 1 or N > 100 or M > 1000 or #ARGV < 7 + 6 * N + M or not HIST_ROWS or not SKIP_ROWS then
  return refuse('MALFORMED', 'a batch has two numbers of rows, 1 to 100 items and at most 1000 messages')
end
local NAME, REV, EXPECTED, NEXT, ID, TERMS = 7, 7 + N, 7 + 2 * N, 7 + 3 * N, 7 + 4 * N, 7 + 5 * N
local MSG = 7 + 6 * N
local bytes = 0
for i = MSG + 1, MSG + M do bytes = bytes + #ARGV[i] end
if bytes > 262144 then return refuse('MALFORMED', 'one call carries at most 262144 bytes of messages') end

local bad = wrong_type({ hist = true, skip = true })
if bad then return bad end
local lease = redis.call('HMGET', K_lease, 'epoch', 'owner', 'format', 'seq', 'rn', 'ttl', 'until')
bad = fence(lease, EPOCH, OWNER, FORMAT)
if bad then return bad end

local now = now_ms()
local revs = redis.call('HMGET', K_rev, unpack(ARGV, NAME + 1, NAME + N))
local moments = redis.call('ZMSCORE', K_due, unpack(ARGV, NAME + 1, NAME + N))
local jitters = exists.jit and redis.call('HMGET', K_jit, unpack(ARGV, NAME + 1, NAME + N))
local lefts = exists.left and redis.call('HMGET', K_left, unpack(ARGV, NAME + 1, NAME + N))
-- Which queues, by number, take messages: digits behind the heads of intents say it of those elsewhere. A queue named like
-- a key of ours, in any namespace, is none, even while that key is missing: a list in its place would make a write after
-- the push fail, and stop all other entries too.
local usable = {}
local digits = ARGV[MSG + 2 * M + 1]
for q = 1, digits and #digits or 0 do usable[q] = string.sub(digits, q, q) == '1' end
for q = 1, #KEYS - FIXED_KEYS do
  local key = KEYS[FIXED_KEYS + q]
  local found = redis.call('TYPE', key).ok
  usable[q] = (found == 'list' or found == 'none') and string.sub(key, 1, 7) ~= '{beatd:'
end

-- Terms as a table, false when not even the number of messages can be read. Read once per distinct text.
local known_terms = {}
local function read_terms(text)
  local queue, count, after, left, slots, skips =
    string.match(text, '^(%d+)|(%d+)|(%d*)|(%d*)|([%d,]*)|([^|]*)$')
  local terms = false
  if whole(count) then
    terms = { queue = whole(queue), count = whole(count), after = after ~= '' and whole(after), left = left,
      slots = slots, skips = skips }
    terms.bad = not terms.queue or terms.after == nil or (left ~= '' and not whole(left))
      or (terms.count > 0) ~= (terms.queue > 0) or terms.queue > #usable
      or (terms.count ~= 1 and (terms.count == 0) ~= (slots == ''))
  end
  known_terms[text] = terms
  return terms
end

-- The moment of the last of several slots, which are whole, ascending, and lie in [expected, next) with the jitter;
-- nil when they are not.
local function last_moment(terms, expected, next, jitter)
  local previous, found = -1, 0
  for piece in string.gmatch(terms.slots .. ',', '([^,]*),') do
    local slot = whole(piece)
    if not slot or slot <= previous or slot + jitter < expected or slot + jitter >= next then return nil end
    previous, found = slot, found + 1
  end
  return found == terms.count and previous + jitter or nil
end

-- The code of item i under its terms; nothing is written yet. Malformed comes first, so that no later step can meet it.
-- Entries are often due at one moment: a text equal to the one before is not read again.
local seen = {}
local expected_text, expected, next_text, next
local function judge(i, terms)
  local name = ARGV[NAME + i]
  if ARGV[EXPECTED + i] ~= expected_text then
    expected_text = ARGV[EXPECTED + i]
    expected = whole(expected_text)
  end
  if ARGV[NEXT + i] ~= next_text then
    next_text = ARGV[NEXT + i]
    next = next_text == 'F' and math.huge or whole(next_text)
  end
  if terms.bad or not expected or not next or next <= expected then return '5' end
  local latest = expected
  if terms.slots ~= '' then
    latest = last_moment(terms, expected, next, jitters and number(jitters[i]) or 0)
    if not latest then return '5' end
  end
  if seen[name] then return '1' end
  seen[name] = true
  local moment = moments[i]
  if not moment or revs[i] ~= ARGV[REV + i] then return '2' end
  if moment ~= expected_text and tonumber(moment) ~= expected then return '1' end
  -- A span that begins at or before the last fire comes of a score that no script of ours wrote: it is planned anew.
  if terms.slots ~= '' and whole(string.match(terms.slots, '^%d+')) <= last_slot(redis.call('HGET', K_last, name)) then
    return '1'
  end
  if latest > now then return '3' end
  if terms.after and now > expected + terms.after then return '6' end
  local stored_left = lefts and lefts[i]
  if stored_left then
    stored_left = whole(stored_left)
    if not stored_left then return '5' end
    if stored_left - terms.count ~= tonumber(terms.left) then return '2' end
    if terms.left == '0' and next_text ~= 'F' then return '5' end
  elseif terms.left ~= '' then
    return '2'
  end
  if terms.count > 0 and not usable[terms.queue] then return '4' end
  return '0'
end

local codes, item_terms, accepted, blocked, message, pushes = {}, {}, {}, {}, MSG, {}
local taken = 0
for i = 1, N do
  local terms = known_terms[ARGV[TERMS + i]]
  if terms == nil then terms = read_terms(ARGV[TERMS + i]) end
  if not terms then return refuse('MALFORMED', 'terms of item ' .. i) end
  local code, count = judge(i, terms), terms.count
  codes[i], item_terms[i] = code, terms
  if code == '0' then
    taken = taken + 1
    accepted[taken] = i
    if count > 0 then
      local list = pushes[terms.queue]
      if not list then
        list = { n = 0 }
        pushes[terms.queue] = list
      end
      for j = 1, count do list[list.n + j] = ARGV[message + j] end
      list.n = list.n + count
    end
  elseif code == '4' then
    blocked[#blocked + 1] = ARGV[EXPECTED + i]
    blocked[#blocked + 1] = ARGV[NAME + i]
  end
  message = message + count
end
if message ~= MSG + M then return refuse('MALFORMED', 'the items name another number of messages than was sent') end

local seq = number(lease[4])
