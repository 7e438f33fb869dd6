"""What cron text means and what is refused, rule by rule; dates in UTC."""

from datetime import UTC, datetime, timedelta

import pytest

from beatd.core.schedules import parse_schedule
from beatd.core.schedules.cron_text import CronText, parse_cron
from beatd.errors import ScheduleInvalid


def values(text: str, field: str) -> list[int]:
    mask = getattr(parse_cron(text, "seed"), field).values
    return [value for value in range(61) if mask >> value & 1]


def dates(text: str, first: str, last: str, **more: str) -> list[str]:
    """Days with a slot, both ends included."""
    low = datetime.fromisoformat(first).replace(tzinfo=UTC) - timedelta(seconds=1)
    high = datetime.fromisoformat(last).replace(tzinfo=UTC) + timedelta(hours=23, minutes=59)
    slots = parse_schedule({"cron": text, **more}).between(low, high)
    return [f"{slot:%m-%d}" for slot in slots]


@pytest.mark.parametrize(
    "text,field,wanted",
    [
        ("5-5 * * * *", "minute", [5]),  # equal bounds are one value, not the whole field
        ("0 0 * * 7-7", "weekday", [0]),
        ("0 0 * * 7", "weekday", [0]),
        ("0 0 * * 5-7", "weekday", [0, 5, 6]),
        ("0 0 * * 0-7", "weekday", [0, 1, 2, 3, 4, 5, 6]),
        ("0 0 * * 7-2", "weekday", [0, 1, 2]),
        ("0 0 * * fri-mon", "weekday", [0, 1, 5, 6]),
        ("0 0 * * Fri-SUNDAY", "weekday", [0, 5, 6]),
        ("0 0 * * 1/2", "weekday", [1, 3, 5]),
        ("0 0 * * thurs,tues", "weekday", [2, 4]),
        ("0 22-4 * * *", "hour", [0, 1, 2, 3, 4, 22, 23]),
        ("0 22-1/3 * * *", "hour", [1, 22]),
        ("45 21-2/2 * * *", "hour", [1, 21, 23]),
        ("0 0 * nov-feb *", "month", [1, 2, 11, 12]),
        ("0 0 * sept *", "month", [9]),
        ("0 0 25-3/4 * *", "day", [2, 25, 29]),
        ("*/7 * * * *", "minute", [0, 7, 14, 21, 28, 35, 42, 49, 56]),
        ("5/15 * * * *", "minute", [5, 20, 35, 50]),
        ("59/15 * * * *", "minute", [59]),
        ("*/70 * * * *", "minute", [0]),
        ("*/10,5 * * * *", "minute", [0, 5, 10, 20, 30, 40, 50]),
        ("00,05 08 * * *", "minute", [0, 5]),
        ("30 * * * * *", "second", [30]),
        ("5 * * * *", "second", [0]),
        (" \t0\t1  * * * ", "hour", [1]),
    ],
)
def test_values_of_a_field(text: str, field: str, wanted: list[int]) -> None:
    assert values(text, field) == wanted


@pytest.mark.parametrize(
    "alias,text",
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
    ],
)
def test_an_alias_is_its_expression(alias: str, text: str) -> None:
    meaning, plain = parse_cron(alias, "with a seed too"), parse_cron(text)
    assert meaning.parts == plain.parts
    assert meaning.text == alias.lower()


def test_both_day_fields_restricted_means_either() -> None:
    assert dates("0 0 1,15 * 5", "2026-05-01", "2026-05-16") == ["05-01", "05-08", "05-15"]
    assert dates("0 0 1,15 * 5", "2026-06-01", "2026-06-16") == ["06-01", "06-05", "06-12", "06-15"]


def test_a_star_at_the_beginning_of_either_day_field_means_both() -> None:
    assert dates("0 0 */2 * mon", "2026-06-01", "2026-06-30") == ["06-01", "06-15", "06-29"]
    assert dates("0 0 1-7 * */7", "2026-06-01", "2026-07-31") == ["06-07", "07-05"]
    assert dates("0 0 ? * mon", "2026-06-01", "2026-06-10") == ["06-01", "06-08"]
    assert len(dates("0 0 1 * 0-6", "2026-06-01", "2026-06-30")) == 30


def test_day_and_asks_for_both_fields() -> None:
    assert dates("0 0 1-7 * mon", "2026-06-01", "2026-07-31", day="and") == ["06-01", "07-06"]
    assert len(dates("0 0 1-7 * mon", "2026-01-01", "2026-12-31")) == 124
    assert len(dates("0 0 1-7 * mon", "2026-01-01", "2026-12-31", day="and")) == 12


def test_days_that_depend_on_the_month() -> None:
    assert dates("0 0 L * *", "2028-01-01", "2028-04-30") == ["01-31", "02-29", "03-31", "04-30"]
    assert dates("0 0 L,15 2 *", "2026-01-01", "2026-12-31") == ["02-15", "02-28"]
    assert dates("0 0 LW * *", "2026-01-01", "2026-06-30") == ["01-30", "02-27", "03-31", "04-30", "05-29", "06-30"]
    assert dates("0 0 15W * *", "2026-01-01", "2026-04-30") == ["01-15", "02-16", "03-16", "04-15"]
    assert dates("0 0 1W * *", "2026-01-01", "2026-03-31") == ["01-01", "02-02", "03-02"]
    assert dates("0 0 31W * *", "2026-01-01", "2026-06-30") == ["01-30", "03-31", "05-29"]
    assert dates("0 0 * * 5#2", "2026-01-01", "2026-02-28") == ["01-09", "02-13"]
    assert dates("0 0 * * mon#5", "2026-01-01", "2026-06-30") == ["03-30", "06-29"]
    assert dates("0 0 * * friL", "2026-01-01", "2026-02-28") == ["01-30", "02-27"]
    assert dates("0 0 * * L5", "2026-01-01", "2026-02-28") == ["01-30", "02-27"]
    assert dates("0 0 * * 7L", "2026-01-01", "2026-01-31") == ["01-25"]
    assert dates("0 0 * * 5#2,1", "2026-01-01", "2026-01-12") == ["01-05", "01-09", "01-12"]


def test_special_days_follow_the_same_rule_of_either_or_both() -> None:
    assert dates("0 0 1 * 5#2", "2026-01-01", "2026-01-31") == ["01-01", "01-09"]
    assert dates("0 0 15W * 1", "2026-01-01", "2026-01-19") == ["01-05", "01-12", "01-15", "01-19"]
    assert dates("0 0 29 2 1#5", "2044-02-01", "2044-03-31") == ["02-29"]


@pytest.mark.parametrize("text", ["0 0 31 2 *", "0 0 31 4,6 *", "0 0 30 feb *", "0 0 31W 2 *", "0 0 31 4,6,9,11 *"])
def test_an_expression_that_never_fires_is_refused(text: str) -> None:
    with pytest.raises(ScheduleInvalid, match="never fires"):
        parse_schedule({"cron": text})


def test_one_possible_side_is_enough_where_either_counts() -> None:
    assert dates("0 0 31 2 0", "2026-02-01", "2026-02-28") == ["02-01", "02-08", "02-15", "02-22"]
    with pytest.raises(ScheduleInvalid, match="never fires"):
        parse_schedule({"cron": "0 0 31 2 0", "day": "and"})


def test_a_rare_date_is_found_however_far() -> None:
    schedule = parse_schedule({"cron": "0 0 29 2 */7"})
    slots = schedule.between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2140, 1, 1, tzinfo=UTC))
    assert [slot.year for slot in slots] == [2032, 2060, 2088, 2128]
    assert "fires rarely: up to 40 years pass between two matching dates" in schedule.warnings


@pytest.mark.parametrize(
    "text,found,hint",
    [
        ("", "nothing", ""),
        ("* * * *", "4 fields", ""),
        ("* * * * * * 2026", "7 fields", "start and end"),
        ("60 * * * *", "minute: found '60'", ""),
        ("* 24 * * *", "hour: found '24'", ""),
        ("* * 0 * *", "day of month: found '0'", ""),
        ("* * 32 * *", "day of month: found '32'", ""),
        ("* * * 0 *", "month: found '0'", ""),
        ("* * * 13 *", "month: found '13'", ""),
        ("* * * * 8", "day of week: found '8'", ""),
        ("60 * * * * *", "second: found '60'", ""),
        ("mon * * * *", "minute: found 'mon'", ""),
        ("* * mon * *", "day of month: found 'mon'", ""),
        ("* * * * mo", "day of week: found 'mo'", "did you mean mon?"),
        ("* * * * mondays", "day of week: found 'mondays'", "did you mean monday?"),
        ("* * * * mon-fry", "day of week: found 'fry'", "did you mean mon-fri?"),
        ("* * * * sat,snu", "day of week: found 'snu'", "did you mean sat,sun?"),
        ("* * * * wendesday", "day of week: found 'wendesday'", "did you mean wednesday?"),
        ("* * * febuary *", "month: found 'febuary'", "did you mean february?"),
        ("* * * jna-mar *", "month: found 'jna'", "did you mean jan-mar?"),
        ("1,,2 * * * *", "minute: found ''", "no empty item"),
        ("1, * * * *", "minute: found ''", "no empty item"),
        ("*,5 * * * *", "minute: found '*'", "alone"),
        ("5,* * * * *", "minute: found '*'", "alone"),
        ("*-5 * * * *", "minute: found '*-5'", ""),
        ("*/0 * * * *", "step of 0", ""),
        ("*/-1 * * * *", "minute: found '*/-1'", ""),
        ("*/5-9 * * * *", "minute: found '*/5-9'", ""),
        ("1-2-3 * * * *", "minute: found '1-2-3'", ""),
        ("1/2/3 * * * *", "minute: found '1/2/3'", ""),
        ("+5 * * * *", "minute: found '+5'", ""),
        ("1_0 * * * *", "minute: found '1_0'", ""),
        ("\u0661 * * * *", "printable ASCII", ""),
        ("0\u00a00 * * *", "printable ASCII", ""),
        ("0 0 * * *\n", "printable ASCII", ""),
        ("? * * * *", "minute: found '?'", ""),
        ("* * ?/2 * *", "day of month", ""),
        ("* * 15W,20 * *", "day of month: found '15w'", "alone"),
        ("* * LW,1 * *", "day of month", "alone"),
        ("* * 1-5W * *", "day of month", ""),
        ("* * 32W * *", "day of month: found '32'", ""),
        ("* * L-3 * *", "day of month", "rrule"),
        ("* * L/2 * *", "day of month", ""),
        ("* * * * L", "day of week: found 'l'", "friL"),
        ("* * * * 1#6", "1#6", ""),
        ("* * * * 1#0", "1#0", ""),
        ("* * * * #1", "day of week", ""),
        ("* * * * 1-5#1", "day of week", ""),
        ("@reboot", "@reboot", "no boot"),
        ("@every 5m", "@every 5m", "every: 5m"),
        ("@fortnightly", "@fortnightly", ""),
        ("R * * * *", "minute: found 'r'", "H spreads"),
        ("R(0-9)/5 * * * *", "minute: found 'r(0-9)/5'", "H spreads"),
        ("H,5 * * * *", "minute: found 'h'", "alone"),
        ("H(9-9) * * * *", "H(9-9)", ""),
        ("H(0-99) * * * *", "minute: found '99'", ""),
        ("H/0 * * * *", "step of 0", ""),
        ("* " * 600, "1200 characters", ""),
    ],
)
def test_what_is_refused_says_what_was_found(text: str, found: str, hint: str) -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        parse_schedule({"cron": text}, name="x")
    assert found in refused.value.message
    assert hint in (refused.value.hint or "")


def test_h_without_anything_to_spread_by_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="nothing to spread by") as refused:
        parse_schedule({"cron": "H 2 * * *"})
    assert "hash_id" in (refused.value.hint or "")


def test_h_takes_the_name_unless_hash_id_is_given() -> None:
    by_name = parse_schedule({"cron": "H H * * *"}, name="report")
    assert by_name != parse_schedule({"cron": "H H * * *"}, name="other")
    assert by_name == parse_schedule({"cron": "H H * * *"}, name="report")
    fixed = {"cron": "H H * * *", "hash_id": "report"}
    assert parse_schedule(fixed, name="a") == parse_schedule(fixed, name="b") == parse_schedule(fixed)
    assert by_name.next_ms(0) == parse_schedule(fixed).next_ms(0)


def test_only_the_whole_field_h_follows_the_clock() -> None:
    texts = {"H/15 * * * *": True, "H/15 2 * * *": True, "H(0-29)/10 2 * * *": False, "H 2 * * *": False}
    for text, interval_like in texts.items():
        assert parse_cron(text, "x").interval_like is interval_like


@pytest.mark.parametrize(
    "text,canonical",
    [
        ("00  09 * * Monday-FRI", "0 9 * * mon-fri"),
        ("*/05 * l * FRIl,mon#2", "*/5 * L * friL,mon#2"),
        ("0 0 lw * l5", "0 0 LW * 5L"),
        ("0 0 015w january-dec/02 ?", "0 0 15W jan-dec/2 ?"),
        ("h h(1-05)/2 * * *", "H H(1-5)/2 * * *"),
        ("@DAILY", "@daily"),
        ("0 0 0 1 1 *", "0 0 0 1 1 *"),
    ],
)
def test_the_canonical_text_is_one_for_all_spellings(text: str, canonical: str) -> None:
    first = parse_cron(text, "x")
    assert first.text == canonical
    assert parse_cron(canonical, "x") == first


def remarks(text: str, zone: str = "UTC", **more: str) -> str:
    return "; ".join(parse_schedule({"cron": text, "timezone": zone, **more}, name="x").warnings)


def test_what_a_careful_reader_would_ask_is_a_warning() -> None:
    assert remarks("*/5 0-6 * * mon") == ""
    assert "*/7 starts anew with each hour" in remarks("*/7 * * * *")
    assert "*/2 starts anew with each month" in remarks("0 0 */2 * *")
    assert "*/70 keeps only its first value" in remarks("*/70 * * * *")
    assert "either of them is enough" in remarks("0 0 1 * 1")
    assert "either" not in remarks("0 0 1 * 1", day="and")
    assert "either" not in remarks("0 0 */2 * 1")
    assert "up to 8 years" in remarks("0 0 29 2 *")
    assert "hash_id has no effect" in remarks("0 0 * * *", hash_id="x")
    assert "skips 02:00 to 03:00: what lies between runs once, at 03:00" in remarks("30 2 * * *", "Europe/Paris")
    assert "what lies between does not run" in remarks("*/10 2 * * *", "Europe/Paris")
    assert "what lies between does not run" in remarks("*/10 2-5 * * *", "Europe/Paris")
    assert "repeats 01:00 to 02:00" in remarks("30 1 * * *", "America/New_York")
    assert remarks("30 2 * * *", "Asia/Tokyo") == ""
    assert remarks("*/10 * * * *", "Europe/Paris") == ""


def test_a_parsed_expression_is_a_value() -> None:
    assert isinstance(parse_cron("* * * * *"), CronText)
    assert len({parse_cron("* * * * *"), parse_cron("*  * * * *")}) == 1
