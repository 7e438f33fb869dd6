-- keys: lease meta inst
-- flags: allow-oom
-- Asks for the lease. Granted when nobody holds it, when it ran out by the server's clock, or when the candidate saw
-- the renewal count stand still for longer than its TTL on its own monotonic clock (a server whose clock was set back
-- would otherwise keep a dead holder's lease alive for ever).
--
-- ARGV  owner (fresh for every candidacy), ttl in ms, renewal count seen, '1' if it stood still for TTL and margin,
--       format, host text, incarnation to use if there is none, number of shards, version of the zone data ('' unknown).
-- Reply {granted 1 or 0, epoch, owner, until, TIME, rn, seq, inc, host, newer zone data}. The last is not '' where the
--       lease is free and an instance with newer zone data is alive: that one leads, lest slots go back.
local OWNER, TTL, SEEN_RN, STOOD_STILL, FORMAT = ARGV[1], whole(ARGV[2]), ARGV[3], ARGV[4] == '1', ARGV[5]
local HOST, INC, SHARDS = ARGV[6], ARGV[7], ARGV[8]
local ZONE_DATA = ARGV[9]
if #ARGV ~= 9 or OWNER == '' or not TTL or TTL < 1000 or not whole(FORMAT) then
  return refuse('MALFORMED', 'acquire takes an owner, a TTL of at least 1000 ms and a format')
end
local bad = wrong_type()
if bad then return bad end
local stored = redis.call('HMGET', K_lease, 'epoch', 'owner', 'until', 'rn', 'seq', 'inc', 'format', 'host')
local epoch, owner, till = number(stored[1]), stored[2] or '', number(stored[3])
local rn, seq, inc = number(stored[4]), ms(number(stored[5])), stored[6]
if stored[7] and (not whole(stored[7]) or tonumber(stored[7]) > tonumber(FORMAT)) then
  return refuse('FORMAT', 'the stored format is ' .. stored[7] .. ', this instance speaks ' .. FORMAT
    .. ': it stays standby until it is upgraded')
end
local shards = redis.call('HGET', K_meta, 'shards')
if shards and shards ~= SHARDS then
  return refuse('SHARDS', 'the namespace is stored in ' .. shards .. ' shards, this instance expects ' .. SHARDS)
end

local now = now_ms()
local mine = owner == OWNER
local free = owner == '' or till < now or (STOOD_STILL and ms(rn) == SEEN_RN)
if not mine and not free then
  return { 0, ms(epoch), owner, ms(till), ms(now), ms(rn), seq, inc or '', stored[8] or '', '' }
end

-- The newest zone data of an instance that was seen within three TTL, where they are newer than the candidate's.
local function newer_zone_data()
  local newest = ''
  if ZONE_DATA == '' or not exists.inst then return newest end
  local all = redis.call('HGETALL', K_inst)
  for i = 2, #all, 2 do
    local record = object(all[i])
    local version, seen = record.tzdata, score_of(record.seen) or 0
    if type(version) == 'string' and version > ZONE_DATA and version > newest and seen >= now - 3 * TTL then
      newest = version
    end
  end
  return newest
end

local newer = not mine and newer_zone_data() or ''
if newer ~= '' then
  return { 0, ms(epoch), '', ms(now + TTL), ms(now), ms(rn), seq, inc or '', '', newer }
end
-- The epoch never goes below the clock's seconds, so it is ahead even of epochs that a wipe took away.
if not mine then epoch = math.max(epoch + 1, math.floor(now / 1000)) end
inc = inc or INC
redis.call('HSET', K_lease, 'epoch', ms(epoch), 'owner', OWNER, 'until', ms(now + TTL), 'ttl', ms(TTL),
  'rn', ms(rn + 1), 'seq', seq, 'inc', inc, 'host', HOST, 'format', FORMAT)
if not shards then redis.call('HSET', K_meta, 'shards', SHARDS) end
return { 1, ms(epoch), OWNER, ms(now + TTL), ms(now), ms(rn + 1), seq, inc, HOST, '' }
