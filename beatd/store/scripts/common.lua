-- What every script shares. A script's first line `-- keys: a b c` names the keys it is given; the loader turns it
-- into `local K_a, K_b, K_c = KEYS[1], KEYS[2], KEYS[3]`. Types of those keys are checked before anything is written:
-- a command that fails half way would leave the writes before it.

local TYPES = {
  lease = 'hash', def = 'hash', rev = 'hash', due = 'zset', out = 'hash', hold = 'hash', gone = 'hash',
  blocked = 'zset', last = 'hash', jit = 'hash', left = 'hash', req = 'hash', asked = 'hash', hist = 'stream', skip = 'stream',
  log = 'stream', file = 'hash', inst = 'hash', meta = 'hash', ob = 'hash', obm = 'hash',
}

local US, RS = '\31', '\30'

local function refuse(code, text)
  return redis.error_reply(code .. ' ' .. text)
end

-- The first key of a wrong type as a refusal, or nil. Fills `exists[name]`. `for_people`: names of keys whose rows are
-- only read by people, as a set; nothing kept for people may keep an entry from firing.
local exists = {}
local function wrong_type(for_people)
  for i, name in ipairs(KEY_NAMES) do
    local found = redis.call('TYPE', KEYS[i]).ok
    exists[name] = found ~= 'none'
    if found ~= 'none' and found ~= TYPES[name] and not (for_people and for_people[name]) then
      return refuse('BADTYPE', KEYS[i] .. ' holds a ' .. found .. ', beatd keeps a ' .. TYPES[name]
        .. ' there: rename or delete that key')
    end
  end
end

-- Milliseconds of the server's clock. Read once a script: TIME is not frozen inside one on every version.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A whole number >= 0 of at most 15 digits (a double holds those exactly), or nil. No pattern with a result: this
-- runs several times an item, and every new string costs.
local find = string.find
local function whole(text)
  if text and #text > 0 and #text <= 15 and not find(text, '%D') then return tonumber(text) end
end

-- A stored whole number; 0 when there is none, or what another client made of it ('nan', '1e400', 'x').
local function number(text)
  return whole(text) or 0
end

local function ms(n)
  return string.format('%.0f', n)
end

-- `slot` of a T:last value `slot|fired at|task id|last skip`; 0 when there is none.
local function last_slot(value)
  return value and number(string.match(value, '^(%d+)|')) or 0
end

-- A row for people in a bounded stream. Written after what it tells of, so nothing that refuses it may fail the call.
local function add_row(key, at_most, ...)
  redis.pcall('XADD', key, 'MAXLEN', '~', at_most, '*', ...)
end

-- Nobody but the leader of the stored format may go on. Equality, never >=: after a failover that lost a suffix the
-- same epoch can be granted twice.
local function fence(lease, epoch, owner, format)
  if lease[3] and lease[3] ~= format then
    return refuse('FORMAT', 'the stored format is ' .. lease[3] .. ', this client speaks ' .. format
      .. ': run one version of beatd everywhere')
  end
  if not lease[1] or lease[1] ~= epoch or owner == '' or lease[2] ~= owner then
    return refuse('FENCED', 'epoch ' .. epoch .. ' under this owner does not hold the lease; its epoch is '
      .. (lease[1] or 'none'))
  end
end

-- A JSON object of ours, read without ever failing: what another client spoilt counts as empty. So does what can be
-- read but not written again (1e999), for parts of it are written after the first change.
local function object(text)
  if not text then return {} end
  local ok, value = pcall(cjson.decode, text)
  return ok and type(value) == 'table' and pcall(cjson.encode, value) and value or {}
end

-- A score that one of our scripts could have written (finite and whole), or nil. Takes anything.
local function score_of(value)
  local n = tonumber(value or nil)
  if n and n % 1 == 0 and math.abs(n) < 9007199254740992 then return n end
end
