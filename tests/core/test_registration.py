"""Which instance's files count: those registered last, and no change of leader brings older ones back."""

import pytest

from beatd.core.registration import Applied, Registered, Standing, is_alive, judged, living

NOW = 1_000_000
NOBODYS = Applied()
BEGUN = Applied(begun=True)


def at(when: int, files: str, instance: str = "me") -> Registered:
    return Registered(instance, files, when)


@pytest.mark.parametrize(
    "own, others, applied, standing",
    [
        (at(5, "A"), [], NOBODYS, Standing.LAST),
        (at(5, "A"), [], Applied("A", 5, "me"), Standing.APPLIED),
        (at(5, "A"), [], Applied("B", 4, "you"), Standing.LAST),
        # What was applied was registered later, though its instance is gone.
        (at(5, "A"), [], Applied("B", 6, "you"), Standing.OLDER),
        (at(5, "A"), [], Applied("B", 5, "you"), Standing.OLDER),
        # Another one that is alive has newer files: they wait until it leads, whatever is stored meanwhile.
        (at(5, "A"), [at(6, "B", "you")], Applied("C", 4, "it"), Standing.OLDER),
        (at(5, "A"), [at(6, "B", "you")], Applied("B", 6, "you"), Standing.OLDER),
        (at(5, "A"), [at(6, "B", "you")], Applied("A", 5, "me"), Standing.APPLIED),
        (at(7, "A"), [at(6, "B", "you")], Applied("B", 6, "you"), Standing.LAST),
        # The same files are as new as their last registration, by whomever.
        (at(5, "A"), [at(8, "A", "you"), at(7, "B", "it")], Applied("B", 7, "it"), Standing.LAST),
        # Two in one millisecond: the name decides, the same everywhere.
        (at(5, "A", "a"), [at(5, "B", "b")], Applied("C", 1, "it"), Standing.OLDER),
        (at(5, "B", "b"), [at(5, "A", "a")], Applied("C", 1, "it"), Standing.LAST),
        # Nothing is stored of files (a FLUSHALL): any are better. A difference that was begun waits for the newest.
        (at(5, "A"), [at(6, "B", "you")], NOBODYS, Standing.LAST),
        (at(5, "A"), [at(6, "B", "you")], BEGUN, Standing.OLDER),
        (at(5, "A"), [], BEGUN, Standing.LAST),
        # The clock was set back since: a registration later than now counts for nothing.
        (at(5, "A"), [], Applied("B", NOW + 1, "you"), Standing.LAST),
    ],
)
def test_only_the_files_registered_last_are_applied(
    own: Registered, others: list[Registered], applied: Applied, standing: Standing
) -> None:
    assert judged(own, others, applied, NOW).standing is standing


def test_a_registration_anew_of_what_is_applied_is_to_be_noted() -> None:
    applied = Applied("A", 5, "me")
    assert judged(at(5, "A"), [], applied, NOW).at == 5
    assert judged(at(5, "A"), [at(9, "A", "you")], applied, NOW).at == 9
    assert judged(at(3, "A"), [], applied, NOW).at == 5
    assert judged(at(3, "A"), [], Applied("A", NOW + 1, "me"), NOW).at == 3


def test_who_has_newer_files_is_told() -> None:
    newer = at(6, "B", "you")
    assert judged(at(5, "A"), [newer], Applied("C", 4, "it"), NOW).latest == newer
    assert judged(at(5, "A"), [], Applied("B", 6, "you"), NOW).latest == newer


def test_of_all_instances_those_seen_within_three_times_the_ttl_count() -> None:
    alive = {"file": "A", "registered": 7, "seen": NOW - 2_999}
    records = {
        "me": alive,
        "you": alive,
        "gone": {**alive, "seen": NOW - 3_000},
        "before the clock was set": {**alive, "seen": NOW + 1_000},
        "without files": {**alive, "file": None, "registered": None},
        "spoilt": {**alive, "registered": "x"},
        "empty": {},
        "true": {**alive, "registered": True},
    }
    assert living(records, "me", NOW, 1_000) == [at(7, "A", "you")]
    assert not is_alive({"seen": "now"}, NOW, 1_000)
