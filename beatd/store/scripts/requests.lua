-- How requests are stored: `state|cursor|pushed|at|why|text`. T:asked names, for each entry, its open ones.
--   state   open, done, withdrawn, refused
--   cursor  the last slot that is settled, ms; a trigger's is 0 until it is served
--   pushed  how many messages; at: when it was asked for (open) or ended, ms; why: for people
--   text    a JSON object that its writer made; no script looks inside

-- A stored request as a table, or nil: there is none, or somebody spoilt it.
local function read_request(value)
  if not value then return nil end
  local state, cursor, pushed, at, why, text = string.match(value, '^(%l+)|(%d+)|(%d+)|(%d+)|([^|]*)|(.*)$')
  if not whole(cursor) or not whole(pushed) or not whole(at) then return nil end
  return { state = state, cursor = cursor, pushed = pushed, at = at, why = why, text = text }
end

local function write_request(id, r)
  redis.call('HSET', K_req, id, table.concat({ r.state, r.cursor, r.pushed, r.at, r.why, r.text }, '|'))
end

-- How many bytes the texts of all requests have, as counted when they come (request) and go (tidy).
local function request_bytes()
  return whole(redis.call('HGET', K_meta, 'req_bytes') or '0') or 0
end

-- The ids that an entry's value in T:asked names, in the order in which they were asked for.
local function listed(value)
  local ids = {}
  for id in string.gmatch(value or '', '[^' .. US .. ']+') do ids[#ids + 1] = id end
  return ids
end

local function is_listed(value, id)
  return find(US .. (value or '') .. US, US .. id .. US, 1, true) ~= nil
end

-- Takes a request off the open ones of an entry.
local function take_off(name, value, id)
  local left = {}
  for _, other in ipairs(listed(value)) do
    if other ~= id then left[#left + 1] = other end
  end
  if #left == 0 then redis.call('HDEL', K_asked, name) else
    redis.call('HSET', K_asked, name, table.concat(left, US)) end
end

-- Ends the open requests of an entry: nothing of them is pushed any more. Comes after a write that takes away: servers
-- refuse growth under memory pressure before a script's first write only.
local function withdraw(name, why, at)
  local value = redis.call('HGET', K_asked, name)
  if not value then return end
  for _, id in ipairs(listed(value)) do
    local r = read_request(redis.call('HGET', K_req, id))
    if r and r.state == 'open' then
      r.state, r.at, r.why = 'withdrawn', ms(at), why
      write_request(id, r)
    end
  end
  redis.call('HDEL', K_asked, name)
end
