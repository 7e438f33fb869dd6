-- The second half of a batch, for fire and settle: moves the accepted items on. It stands behind the one write that may
-- be refused; nothing here can fail any more.
if taken > 0 then
  local fired_at = ms(now)
  local moves, finished, reasons, left_now = {}, {}, {}, {}
  local at = 0
  for k = 1, taken do
    local i = accepted[k]
    local name, left = ARGV[NAME + i], item_terms[i].left
    if ARGV[NEXT + i] == 'F' then
      finished[#finished + 1] = name
      reasons[#reasons + 1] = name
      reasons[#reasons + 1] = '{"finished":{"at":"' .. fired_at .. '"},"owed":"-' .. fired_at .. '"}'
    else
      moves[at + 1], moves[at + 2] = ARGV[NEXT + i], name
      at = at + 2
    end
    if left ~= '' then
      left_now[#left_now + 1] = name
      left_now[#left_now + 1] = left
    end
  end
  if at > 0 then redis.call('ZADD', K_due, 'XX', unpack(moves)) end
  if #finished > 0 then
    redis.call('ZREM', K_due, unpack(finished))
    redis.call('HSET', K_out, unpack(reasons))
  end
  if #left_now > 0 then redis.call('HSET', K_left, unpack(left_now)) end

  -- Kept for people and for the next leader's convenience; none of it may fail a fire.
  seq = seq + 1
  redis.pcall('HSET', K_lease, 'until', ms(math.max(number(lease[7]), now + number(lease[6]))),
    'rn', ms(number(lease[5]) + 1), 'seq', ms(seq))
  local lasts, fires, skips = {}, {}, {}
  local fired_of, stamp, pieces = 0, '|' .. fired_at .. '|', 0
  for k = 1, taken do
    local i = accepted[k]
    local name, terms = ARGV[NAME + i], item_terms[i]
    local slot = terms.slots
    if terms.count > 0 then
      if slot == '' then
        slot = ARGV[EXPECTED + i]
        local jitter = jitters and whole(jitters[i])
        if jitter then slot = ms(slot - jitter) end
      end
      fires[pieces + 1], fires[pieces + 2], fires[pieces + 3], fires[pieces + 4] = name, US, slot, RS
      pieces = pieces + 4
      lasts[fired_of + 1] = name
      lasts[fired_of + 2] = (terms.count == 1 and slot or string.match(slot, '%d+$')) .. stamp
        .. ARGV[ID + i] .. '|' .. terms.skips
      fired_of = fired_of + 2
    elseif terms.skips ~= '' then
      local before = redis.pcall('HGET', K_last, name)
      local fired = type(before) == 'string' and string.match(before, '^(%d+|%d+|[^|]*|)') or '0|0||'
      lasts[fired_of + 1], lasts[fired_of + 2] = name, fired .. terms.skips
      fired_of = fired_of + 2
    end
    if terms.skips ~= '' then skips[#skips + 1] = name .. US .. terms.skips end
  end
  if fired_of > 0 then redis.pcall('HSET', K_last, unpack(lasts)) end
  if pieces > 0 then
    fires[pieces] = nil
    add_row(K_hist, HIST_ROWS, 'epoch', EPOCH, 'at', fired_at, 'fires', table.concat(fires))
  end
  if #skips > 0 then
    add_row(K_skip, SKIP_ROWS, 'epoch', EPOCH, 'at', fired_at, 'skips', table.concat(skips, RS))
  end
end
for j = 1, #blocked, 2 do
  redis.call('ZREM', K_due, blocked[j + 1])
  redis.call('ZADD', K_blocked, blocked[j], blocked[j + 1])
end
return { table.concat(codes), ms(now), ms(seq) }
