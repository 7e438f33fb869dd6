"""Alive and ready, from values: one row of the table for each thing that may be amiss."""

from dataclasses import replace
from typing import Any

import pytest

from beatd.core.health import Seen, alive, ready

LEADER = Seen(answered_ago=0.1, leads=True, has_bid=True, checked_ago=0.5, zone_data="2026a", stored_zone_data="2026a")
STANDBY = replace(LEADER, leads=False, checked_ago=None)


@pytest.mark.parametrize("missed, well", [(0, True), (1, True), (2, False), (11, False)])
def test_a_loop_is_alive_until_two_samples_of_its_pulse_were_missed(missed: int, well: bool) -> None:
    assert alive(missed).ok is well
    assert ready(replace(LEADER, missed=missed)).ok is well


@pytest.mark.parametrize("seen", [LEADER, STANDBY])
def test_a_leader_without_lag_and_a_candidate_are_ready(seen: Seen) -> None:
    assert ready(seen).ok


@pytest.mark.parametrize("seen", [LEADER, STANDBY])
@pytest.mark.parametrize("what, amiss, told", [
    ("running", {"stopping": True}, "stopping"),
    ("config", {"config_error": "s.yaml:1:1: E020 the bracket"}, "s.yaml:1:1: E020 the bracket"),
    ("redis", {"answered_ago": None}, "not answered yet"),
    ("redis", {"answered_ago": 2.1, "trouble": "Connection refused"}, "2.1 s ago: Connection refused"),
    ("zone_data", {"stored_zone_data": "2026b"}, "2026a here, the timetable was planned with 2026b"),
])  # fmt: skip
def test_what_is_amiss_is_told_on_a_leader_and_on_a_standby(
    seen: Seen, what: str, amiss: dict[str, Any], told: str
) -> None:
    verdict = ready(replace(seen, **amiss))
    assert [name for name, sign in verdict.signs.items() if not sign.ok] == [what]
    assert told in verdict.signs[what].detail


@pytest.mark.parametrize("own, stored", [("2026b", "2026a"), ("2026b", ""), ("", "2026a")])
def test_zone_data_that_are_newer_or_can_not_be_compared_are_fine(own: str, stored: str) -> None:
    assert ready(replace(LEADER, zone_data=own, stored_zone_data=stored)).ok


@pytest.mark.parametrize("amiss, told", [
    ({"lag": 60.1}, "60.1 s behind"),
    ({"checked_ago": None, "trouble": "a hash there"}, "not looked at yet: a hash there"),
    ({"checked_ago": 5.5}, "for 6 s"),
    ({"failing_for": 5.5, "trouble": "no memory"}, "nothing could be fired for 6 s: no memory"),
])  # fmt: skip
def test_a_leader_that_is_behind_or_does_not_look_is_not_ready(amiss: dict[str, Any], told: str) -> None:
    sign = ready(replace(LEADER, **amiss)).signs["timetable"]
    assert not sign.ok
    assert told in sign.detail
    assert ready(replace(STANDBY, **amiss)).ok


@pytest.mark.parametrize("still_well", [{"lag": 60.0}, {"failing_for": 5.0, "trouble": "no memory"}])
def test_a_leader_that_is_a_minute_behind_or_met_a_short_trouble_is_still_ready(still_well: dict[str, Any]) -> None:
    assert ready(replace(LEADER, **still_well)).ok


@pytest.mark.parametrize("amiss, told", [
    ({"has_bid": False}, "nothing is known"),
    ({"hindrance": "it can't fire: x"}, "it can't fire: x"),
])  # fmt: skip
def test_a_candidate_that_could_not_lead_is_not_ready(amiss: dict[str, Any], told: str) -> None:
    verdict = ready(replace(STANDBY, **amiss))
    assert not verdict.ok
    assert told in verdict.signs["lease"].detail


def test_a_newer_format_is_told_as_such() -> None:
    text = "the stored format is 2, this instance speaks 1"
    assert ready(replace(STANDBY, hindrance=text, newer_format=True)).signs["format"] == (False, text)


@pytest.mark.parametrize("down_for, well, told", [
    (0.0, True, "amqp://mq/ takes messages"), (60.0, True, "no messages for 60 s: refused"),
    (61.0, False, "no messages for 61 s: refused"),
])  # fmt: skip
def test_a_leader_whose_broker_is_down_for_more_than_a_minute_is_not_ready(
    down_for: float, well: bool, told: str
) -> None:
    seen = replace(LEADER, broker="amqp://mq/", broker_down_for=down_for, broker_trouble="refused")
    verdict = ready(seen)
    assert (verdict.ok, verdict.signs["broker"].detail) == (well, told)
    assert "broker" not in ready(replace(seen, leads=False)).signs
