"""croniter's naive clock as a second opinion on wall time in UTC, where its reading and ours are the same.

Its own readings of equal bounds, of wrapped steps and of special days beside other day fields stay out: it is asked
about the values as explicit lists, with ``implement_cron_bug`` for the star rule of the day fields.
"""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from croniter import CroniterBadDateError, croniter

from beatd.core.schedules import parse_schedule
from beatd.core.schedules.cron_fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, Field, Part
from beatd.core.schedules.cron_text import parse_cron
from beatd.errors import ScheduleInvalid
from tests.core.expressions import expression


def column(field: Field, part: Part) -> str:
    """Explicit values; a starred day field keeps its star, which decides between and and or."""
    listed = ",".join(str(v) for v in range(field.low, field.high + 1) if part.values >> v & 1)
    return part.text if part.text in ("*", "?") or (part.starred and field in (DAY, WEEKDAY)) else listed


def compare(rng: Random) -> bool:
    text = expression(rng, seconds=rng.random() < 0.3, dates=0.5)
    parsed = parse_cron(text)
    if any(part.specials for part in parsed.parts):
        return False
    try:
        schedule = parse_schedule({"cron": text})
    except ScheduleInvalid:
        return False
    columns = zip((MINUTE, HOUR, DAY, MONTH, WEEKDAY, SECOND), (*parsed.parts[1:], parsed.second), strict=True)
    theirs = " ".join(column(field, part) for field, part in columns)
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(10**8))
    clock = croniter(theirs, moment.replace(tzinfo=None), implement_cron_bug=True, max_years_between_matches=20)
    for _ in range(5):
        found = schedule.next_after(moment)
        assert found is not None
        try:
            assert clock.get_next(datetime) == found.replace(tzinfo=None), (text, theirs, moment)
        except CroniterBadDateError:
            assert found - moment > timedelta(days=365 * 19), (text, theirs, moment)
            break
        moment = found
    return True


def test_wall_time_equals_the_naive_clock_of_croniter() -> None:
    assert sum(compare(Random(seed)) for seed in range(700)) > 400


@pytest.mark.nightly
def test_wall_time_equals_the_naive_clock_of_croniter_for_many_more() -> None:
    assert sum(compare(Random(seed)) for seed in range(20_000, 40_000)) > 10_000
