-- What the edits share: put, remove, pause, resume, reset. Any client may call them; none of them computes a slot.

-- An edit comes from a client of any age; it must speak the stored format.
local function check_format(format)
  local stored = redis.call('HGET', K_lease, 'format')
  if stored and stored ~= format then
    return refuse('FORMAT', 'the stored format is ' .. stored .. ', this client speaks ' .. format
      .. ': use the same version of beatd as the leader')
  end
end

-- Only the leader writes entries of files: its epoch and owner stand behind all else, after that place. Without them it
-- is anybody's edit.
local function check_leader(place, format)
  if #ARGV == place then return end
  if not whole(ARGV[place + 1]) then return refuse('MALFORMED', "a leader's edit ends with its epoch and its owner") end
  return fence(redis.call('HMGET', K_lease, 'epoch', 'owner', 'format'), ARGV[place + 1], ARGV[place + 2], format)
end

-- Whether all arguments are more than an edit may carry together, or the second, who makes it: each row repeats that.
local function too_large()
  local bytes = 0
  for i = 1, #ARGV do bytes = bytes + #ARGV[i] end
  if bytes > 1048576 then return refuse('MALFORMED', 'one call carries at most 1048576 bytes') end
  return #ARGV[2] > 4096 and refuse('MALFORMED', 'who makes an edit is told in at most 4096 bytes')
end

-- A refusal when a name stands twice among arguments, given as ranges: the place before the first, how many, ...
local function twice(...)
  local seen, ranges = {}, { ... }
  for r = 1, #ranges, 2 do
    for i = ranges[r] + 1, ranges[r] + ranges[r + 1] do
      if seen[ARGV[i]] then return refuse('MALFORMED', 'the name ' .. ARGV[i] .. ' stands twice in one call') end
      seen[ARGV[i]] = true
    end
  end
end

-- The half of a revision `nonce.fingerprint` that says whether the schedule is the same; nil in what is none.
local function fingerprint(rev) return string.match(rev, '^[^.]+%.(.+)$') end

-- The revision after an edit that leaves the schedule alone.
local function renewed(rev, nonce) return nonce .. '.' .. (fingerprint(rev) or 'unknown') end

local function is_nonce(text) return #text <= 100 and find(text, '^[^.%c]+$') end

-- Whether the call with this nonce has been here before.
local function has_nonce(rev, nonce) return string.sub(rev, 1, #nonce + 1) == nonce .. '.' end

-- The score of an entry that is to be planned from the latest of some instants. The score 0 would mean a moment in
-- 1970, not a mark: the smallest instant is 1.
local function mark(...) return '-' .. ms(math.max(1, ...)) end

-- The instant up to which an entry with this score is settled: the next slot that counts comes strictly after it.
local function settled(score, jitter) return score < 0 and -score or score - jitter - 1 end

-- The instant up to which nothing is planned: the last one inside a pause with an end, or the one at which a pause was
-- lifted. 0 where there is neither.
local function held(hold) return math.max((score_of(hold['until']) or 0) - 1, score_of(hold.after) or 0) end

-- One row for a range of slots that nobody fires any more. The count 0 says that nobody has counted.
local function add_range(at_most, at, name, reason, first, last)
  if first > last then return end
  add_row(K_skip, at_most, 'at', ms(at), 'skips', name .. US .. reason .. ':0:' .. ms(first) .. ':' .. ms(last))
end

-- Whether a pause with an end runs.
local function running(hold, at) return (score_of(hold['until']) or 0) > at end

-- From an instant on an entry of the timetable is under a pause with an end. What falls into it is owed to whoever lifts
-- it; the row names that before anything happens, for nobody acts when it ends.
local function hold_from(at_most, at, name, hold, since, fired)
  hold.since = ms(since)
  add_range(at_most, at, name, 'paused', math.max(since, fired) + 1, score_of(hold['until']) - 1)
end

-- Sets a field to a JSON object, or takes it away where the object has nothing in it.
local function set_object(key, name, value)
  if next(value) == nil then redis.call('HDEL', key, name) else redis.call('HSET', key, name, cjson.encode(value)) end
end

-- The pause that an entry is under, as a row tells it; '' where there is none.
local function pause_text(out, hold, at)
  if out.paused then return cjson.encode(out.paused) end
  return running(hold, at) and cjson.encode({ ['until'] = hold['until'], who = hold.who, note = hold.note }) or ''
end

-- How many rows the change log may keep: so many, and no more than fit into its bytes, as they are now. To weigh a full
-- log takes 0.1 ms.
local LOG_BYTES, MEGABYTE = 16777216, 1048576
local function fitting_rows(most)
  local rows, bytes = redis.pcall('XLEN', K_log), redis.pcall('MEMORY', 'USAGE', K_log, 'SAMPLES', 0)
  if type(rows) ~= 'number' or type(bytes) ~= 'number' or bytes <= LOG_BYTES then return most end
  return math.max(100, math.min(most, math.floor(rows * LOG_BYTES / bytes)))
end

-- One row of the change log: what stands after an edit, and who made it. The log is weighed once in a call, and again
-- after each megabyte.
local unweighed = MEGABYTE
local function add_change(most, definition, ...)
  unweighed = unweighed + #definition
  if unweighed >= MEGABYTE then most, unweighed = fitting_rows(most), 0 end
  add_row(K_log, most, ...)
end
