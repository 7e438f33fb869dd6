-- How intents are stored: fires that are decided for a broker which is not this Redis, and that it has not confirmed.
-- T:ob keeps the head of each by its id, T:obm the message. A head is, parted by the byte 0x1f: name of the entry, slot,
-- task id, queue, ms after which it is not worth sending ('' none), attempts ('' no limit), '1' at most once, '2' at most once
-- and about to be sent, else '0', broker, cause ('' by the schedule, trigger, backfill), bytes of the message.
--   id   `seq-n`: the lease's seq of the batch that decided it, and its place in that call, from 1; of a request the seq
--        of the last batch, and 1000 and the count of such messages
local MOST_INTENTS = 2000
local HEAD = '^([^%c]+)\31(%d+)\31([^%c]+)\31[^%c]*\31(%d*)\31(%d*)\31[012]\31[^%c]*\31%l*\31(%d+)$'

-- Name, slot and task id of a head; nothing where it can't be read. Texts.
local function read_head(head)
  if not head or #head > 4096 then return nil end
  local name, slot, task_id, dead_at, attempts, size = string.match(head, HEAD)
  if not whole(slot) or not whole(size) or (dead_at ~= '' and not whole(dead_at)) or (attempts ~= '' and not whole(attempts)) then
    return nil
  end
  return name, slot, task_id
end

-- The head of an intent that is to be sent at most once, marked as about to be sent; nil where it is no such one any more.
local function marked(head)
  local before, after = string.match(head, '^(.*\31%d*\31)1(\31[^%c]*\31%l*\31%d+)$')
  return before and before .. '2' .. after
end

-- A refusal where so many more intents are too many.
local function outbox_full(more)
  local kept = exists.ob and redis.call('HLEN', K_ob) or 0
  if more > 0 and kept + more > MOST_INTENTS then
    return refuse('FULL', 'the outbox holds ' .. kept .. ' intents, and no more than ' .. MOST_INTENTS .. ' together with '
      .. more .. ' more: they wait for their broker')
  end
end

-- Whether one of these ids is in use: then somebody has deleted the lease, and its counts began anew.
local function in_use(ids)
  local heads = #ids > 0 and exists.ob and redis.call('HMGET', K_ob, unpack(ids)) or {}
  for i = 1, #heads do
    if heads[i] then return true end
  end
  return false
end

-- Keeps intents; `heads` and `messages` are places in ARGV. Messages first: a memory limit refuses the first write of a
-- script, and then nothing has been written.
local function keep_intents(ids, heads, messages)
  if #ids == 0 then return end
  local by_id, message_by_id = {}, {}
  for i, id in ipairs(ids) do
    by_id[2 * i - 1], by_id[2 * i] = id, ARGV[heads[i]]
    message_by_id[2 * i - 1], message_by_id[2 * i] = id, ARGV[messages[i]]
  end
  redis.call('HSET', K_obm, unpack(message_by_id))
  redis.call('HSET', K_ob, unpack(by_id))
end

local function drop_intents(ids)
  if #ids == 0 then return end
  redis.call('HDEL', K_ob, unpack(ids))
  redis.call('HDEL', K_obm, unpack(ids))
end

-- The intents of each entry, as a list of {id, slot}; read once a call, for there may be thousands. Nothing where there
-- are none.
local function intents_by_name()
  local found = {}
  local all = exists.ob and redis.call('HGETALL', K_ob) or {}
  for i = 1, #all, 2 do
    local name, slot = read_head(all[i + 1])
    if name then
      found[name] = found[name] or {}
      table.insert(found[name], { all[i], tonumber(slot) })
    end
  end
  return found
end

-- Takes back what is decided for an entry and not sent yet, with a row that says so: nothing of it is sent any more, but
-- for what has been handed to the broker already. As all edits it comes after a write that takes away.
local function withdraw_intents(intents, reason, at, skip_rows, name)
  if not intents then return end
  table.sort(intents, function(a, b) return a[2] < b[2] end)
  local ids, skips = {}, {}
  for i, intent in ipairs(intents) do
    ids[i], skips[i] = intent[1], reason .. ':1:' .. ms(intent[2]) .. ':' .. ms(intent[2])
  end
  drop_intents(ids)
  add_row(K_skip, skip_rows, 'at', ms(at), 'skips', name .. US .. table.concat(skips, ';'),
    'why', 'it was decided, and taken back before the broker had confirmed it')
end
