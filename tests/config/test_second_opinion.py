"""croniter reads our canonical values and H as we do, and a difference is told."""

from random import Random

import pytest

from beatd.config.second_opinion import difference, explicit_text, second_opinion
from beatd.core.schedules.cron_fields import Part
from beatd.core.schedules.cron_text import CronText, parse_cron
from beatd.errors import ScheduleInvalid
from tests.core.expressions import expression


def test_croniter_agrees_on_plain_values() -> None:
    for seed in range(400):
        rng = Random(seed)
        text = expression(rng, seconds=rng.random() < 0.3, dates=0.4)
        assert second_opinion(text) is None, text


@pytest.mark.parametrize("text", ["0 0 L * *", "0 0 15W * *", "0 0 LW * *", "0 0 * * 5#2", "0 0 L,15 * friL,mon"])
def test_special_days_are_left_out_of_the_question(text: str) -> None:
    assert second_opinion(text) is None


def hashed(rng: Random) -> str:
    """An expression with H in every form, in every field."""
    bounds = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
    fields = []
    for low, high in bounds[rng.choice([0, 1]) :]:
        a = rng.randint(low, high - 1)
        b = rng.randint(a + 1, high)
        step = rng.randint(1, high + 3)
        fields.append(rng.choice(["H", f"H/{step}", f"H({a}-{b})", f"H({a}-{b})/{step}", "*"]))
    return " ".join(fields)


def test_h_gives_the_numbers_of_croniter() -> None:
    for seed in range(600):
        rng = Random(seed)
        text, name = hashed(rng), rng.choice(["report", "nightly-sync", "\u00e4\u00f6", "x" * 200, f"e{seed}"])
        assert second_opinion(text, name) is None, (text, name)


def test_the_question_holds_nothing_to_interpret() -> None:
    assert explicit_text(parse_cron("*/20 22-1 1-3 jan-mar fri-mon")) == "0,20,40 0,1,22,23 1,2,3 1,2,3 0,1,5,6 0"


def test_what_we_refuse_is_refused_here_too() -> None:
    with pytest.raises(ScheduleInvalid):
        second_opinion("60 * * * *")


def with_minute(text: str, minute: Part) -> CronText:
    good = parse_cron(text, "x")
    return CronText(good.text, good.second, minute, good.hour, good.day, good.month, good.weekday)


def test_a_difference_is_told() -> None:
    told = difference(with_minute("H 2 * * *", Part("H", 3)), "x")
    assert told is not None
    assert "croniter reads the minute of 'H 2 * * *' as" in told


def test_an_expression_croniter_refuses_is_told() -> None:
    assert "croniter refuses" in (difference(with_minute("5 2 * * *", Part("H(70-80)", 1)), "x") or "")
