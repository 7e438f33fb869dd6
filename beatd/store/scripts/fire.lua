-- keys: lease rev due out blocked last jit left hist skip
-- uses: judging
-- then: moving
-- Fires and skips: moves entries on in the timetable and pushes their messages, in one atomic step, once per slot.
--
-- KEYS  the above, then one list per queue.
-- ARGV  epoch, owner, format, rows kept in hist, rows kept in skip, number of items n, number of messages m; then six
--       columns of n values each:
--         name; revision; expected moment; next moment or 'F' (finished); task id of the last slot fired;
--         terms `queue|messages|not-after|runs left|slots|skips`:
--           queue: its number, 0 for a move without messages; messages: how many are for this item;
--           not-after: ms after the expected moment at which the decision would change, '' for never;
--           runs left afterwards, '' where they are not counted; slots: comma separated, '' for the one slot that
--           the expected moment stands for; skips: packed rows for the history, '' for none;
--       then the m messages in the order of the items.
-- Reply {one digit an item, TIME, seq}. 0 done, 1 moment is not the expected one, 2 gone or another revision,
--       3 earlier than its moment, 4 queue of a wrong type (the entry moves to `blocked`), 5 malformed,
--       6 decide again: too late for this decision.
if #ARGV ~= MSG + M then return refuse('MALFORMED', 'behind the messages of a fire nothing comes') end

-- The push comes first: it is the one that a memory limit, a lost disk or too few replicas refuse, and then nothing has
-- been written.
for queue, list in pairs(pushes) do
  redis.call('LPUSH', KEYS[FIXED_KEYS + queue], unpack(list))
end
