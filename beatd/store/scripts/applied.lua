-- keys: lease meta
-- Writes down whose files are stored, in steps between which nothing may have gone back to an older state:
--   look   before what is stored is read: leaves a mark
--   begin  before the first change: nobody's files are stored in full
--   done   nothing differed when it was read: these files are stored, if the mark still stands
--   same   these files, which are noted as stored already, were registered anew
--
-- ARGV  epoch, owner, format, step, mark, hash of the files, when they were registered in ms, by whom.
-- Reply {1 done or 0 something else stands there, TIME}.
local STEP, MARK, HASH, AT, BY = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local STEPS = { look = true, begin = true, done = true, same = true }
if #ARGV ~= 8 or not STEPS[STEP] or not whole(AT) or ((STEP == 'done' or STEP == 'same') and HASH == '') then
  return refuse('MALFORMED', 'applied takes an epoch, an owner, a format, a step, a mark, a hash, an instant and a name')
end
local bad = wrong_type()
if bad then return bad end
bad = fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), ARGV[1], ARGV[2], ARGV[3])
if bad then return bad end

local stored = redis.call('HMGET', K_meta, 'file', 'file_mark')
local stands = 1
if STEP == 'look' then
  redis.call('HSET', K_meta, 'file_mark', MARK)
elseif STEP == 'begin' then
  redis.call('HSET', K_meta, 'file', '')
elseif (STEP == 'done' and stored[2] == MARK) or (STEP == 'same' and stored[1] == HASH) then
  redis.call('HSET', K_meta, 'file', HASH, 'file_at', AT, 'file_by', BY)
else
  stands = 0
end
return { stands, ms(now_ms()) }
