-- keys: lease def rev due out hold gone blocked last jit left skip log file req asked ob obm
-- flags: allow-oom
-- uses: edit requests removal intents
-- Removes entries, and withdraws their requests and intents. After the reply nothing of their old definitions enters a
-- queue. All or nothing, as put.
--
-- ARGV  format, who (JSON text for the audit), rows kept in log and in skip, number of items n; then two columns of n values each:
--         name, expected revision ('*' any); then, for entries of files, epoch and owner of the leader that does it.
-- Reply {one digit an item, TIME}. 0 done, 1 there is no such entry, 2 the stored revision is not the expected one
--       (then nothing at all was written).
local FORMAT, LOG_ROWS, N = ARGV[1], whole(ARGV[3]), whole(ARGV[4])
local ALL = 4 + 2 * (N or 0)
if not N or N < 1 or N > 500 or (#ARGV ~= ALL and #ARGV ~= ALL + 2) or not LOG_ROWS then
  return refuse('MALFORMED', 'remove takes a number of rows and 1 to 500 items')
end
local NAME, EXPECTED = 4, 4 + N
local bad = twice(NAME, N) or too_large() or wrong_type() or check_format(FORMAT) or check_leader(ALL, FORMAT)
if bad then return bad end

local codes, revs, refused = judge_removals(NAME, EXPECTED, N)
local now = now_ms()
local intents = refused and {} or intents_by_name()
for i = 1, N do
  local name = ARGV[NAME + i]
  if not refused and codes[i] == 0 then
    remove_entry(name, revs[i], now, '', LOG_ROWS, LOG_ROWS)
    withdraw_intents(intents[name], 'removed', now, LOG_ROWS, name)
  end
end
return { table.concat(codes), ms(now) }
