-- keys: lease req asked meta
-- uses: requests
-- Forgets requests whose time is over, and mends what no script of ours leaves behind.
--
-- ARGV  epoch, owner, format, number of requests n; then four columns of n values each:
--         id, name of the entry, the value that was read ('' none), what to do: 'F' forget it, 'L' name it among the
--         open ones of the entry, 'O' take it off those.
-- Reply {one digit a request, TIME}. 0 done, 1 the value is another one now, 5 malformed: only an open request is named,
--       and only one that is not is forgotten or taken off.
local EPOCH, OWNER, FORMAT, N = ARGV[1], ARGV[2], ARGV[3], whole(ARGV[4])
if not N or N < 1 or N > 500 or #ARGV ~= 4 + 4 * N then
  return refuse('MALFORMED', 'tidy takes 1 to 500 requests')
end
local bad = wrong_type()
if bad then return bad end
bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), EPOCH, OWNER, FORMAT)
if bad then return bad end
local ID, NAME, VALUE, WHAT = 4, 4 + N, 4 + 2 * N, 4 + 3 * N

local function judge(i)
  local what, r = ARGV[WHAT + i], read_request(ARGV[VALUE + i])
  if what ~= 'F' and what ~= 'L' and what ~= 'O' then return 5 end
  if (what == 'L') ~= (r ~= nil and r.state == 'open') then return 5 end
  return (redis.call('HGET', K_req, ARGV[ID + i]) or '') == ARGV[VALUE + i] and 0 or 1
end

local codes, freed = {}, 0
for i = 1, N do
  local id, name, code = ARGV[ID + i], ARGV[NAME + i], judge(i)
  if code == 0 then
    local others = redis.call('HGET', K_asked, name)
    if ARGV[WHAT + i] == 'F' and redis.call('HDEL', K_req, id) == 1 then
      local r = read_request(ARGV[VALUE + i])
      freed = freed + (r and #r.text or 0)
    end
    if is_listed(others, id) then
      if ARGV[WHAT + i] ~= 'L' then take_off(name, others, id) end
    elseif ARGV[WHAT + i] == 'L' then
      redis.call('HSET', K_asked, name, others and others .. US .. id or id)
    end
  end
  codes[i] = code
end
if freed > 0 then redis.call('HSET', K_meta, 'req_bytes', ms(math.max(0, request_bytes() - freed))) end
return { table.concat(codes), ms(now_ms()) }
