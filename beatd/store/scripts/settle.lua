-- keys: lease rev due out blocked last jit left hist skip ob obm
-- uses: intents judging
-- then: moving
-- Fires and skips as fire does, for a broker that is not this Redis: in place of a push, each message is kept as an intent
-- until the broker has confirmed it.
--
-- KEYS  the above.
-- ARGV  as fire; then for each of the m messages the head of its intent (intents.lua), and a text with a digit for each
--       queue, '1' where it takes messages, '0' where it does not ('4' then).
-- Reply as fire. The intent of the message with the number i of this call has the id `seq-i`. An item with a head that is
--       malformed, or of another entry, is answered 5. Nothing at all is done (FULL) where there are too many intents.
if #ARGV ~= MSG + 2 * M + 1 or find(ARGV[#ARGV], '[^01]') or #KEYS ~= FIXED_KEYS then
  return refuse('MALFORMED', 'settle takes a head for each message and a digit for each queue')
end
bad = outbox_full(M)
if bad then return bad end

local place, sound, places, heads, messages = 0, {}, {}, {}, {}
for i = 1, N do
  local count, is_sound = item_terms[i].count, true
  for n = place + 1, place + count do
    is_sound = is_sound and read_head(ARGV[MSG + M + n]) == ARGV[NAME + i]
  end
  if codes[i] == '0' and not is_sound then codes[i] = '5' end
  if codes[i] == '0' then
    sound[#sound + 1] = i
    for n = place + 1, place + count do
      local at = #places + 1
      places[at], heads[at], messages[at] = n, MSG + M + n, MSG + n
    end
  end
  place = place + count
end
accepted, taken = sound, #sound

local function ids_of(batch)
  local ids = {}
  for i, n in ipairs(places) do ids[i] = ms(batch) .. '-' .. n end
  return ids
end
while in_use(ids_of(seq + 1)) do seq = seq + 1 end
keep_intents(ids_of(seq + 1), heads, messages)
