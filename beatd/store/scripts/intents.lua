-- How intents are stored: fires that are decided for a broker which is not this Redis, and that it has not confirmed.
-- T:ob keeps the head of each by its id, T:obm the message. A head is, parted by the byte 0x1f: name of the entry, slot,
-- task id, queue, ms after which it is not worth sending ('' none), attempts ('' no limit), '1' at most once or '0',
-- broker, cause ('' by the schedule, trigger, backfill).
--   id   `seq-n`: the lease's seq of the batch that decided it, and its place in that call, from 1; of a request the seq
--        of the last batch, and 1000 and the count of such messages
local MOST_INTENTS = 2000
local HEAD = '^([^%c]+)\31(%d+)\31([^%c]+)\31[^%c]*\31(%d*)\31(%d*)\31[01]\31[^%c]*\31%l*$'

-- Name, slot and task id of a head; nothing where it can't be read. Texts.
local function read_head(head)
  if not head or #head > 4096 then return nil end
  local name, slot, task_id, dead_at, attempts = string.match(head, HEAD)
  if not whole(slot) or (dead_at ~= '' and not whole(dead_at)) or (attempts ~= '' and not whole(attempts)) then
    return nil
  end
  return name, slot, task_id
end

-- A refusal where so many more intents are too many.
local function outbox_full(more)
  local kept = exists.ob and redis.call('HLEN', K_ob) or 0
  if more > 0 and kept + more > MOST_INTENTS then
    return refuse('FULL', 'the outbox holds ' .. kept .. ' intents, and no more than ' .. MOST_INTENTS .. ' together with '
      .. more .. ' more: they wait for their broker')
  end
end

-- Messages first: a memory limit refuses the first write of a script, and then nothing has been written.
local function keep_intents(heads, messages)
  if #heads == 0 then return end
  redis.call('HSET', K_obm, unpack(messages))
  redis.call('HSET', K_ob, unpack(heads))
end

local function drop_intents(ids)
  if #ids == 0 then return end
  redis.call('HDEL', K_ob, unpack(ids))
  redis.call('HDEL', K_obm, unpack(ids))
end
