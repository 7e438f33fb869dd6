"""An outage is a line or two, however long it is, whatever words it has, however often it comes and goes."""

import random

import pytest

from beatd.daemon.trouble import CHANGE_S, MOST_CHANGES, MOST_TEXTS, Trouble
from beatd.errors import Refused, Unreachable


class Scene:
    """A trouble on a clock of its own, and what it told of."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[str, object, object]] = []
        self.trouble = Trouble(self, random.Random(1), lambda: self.now, "leader")

    def emit(self, event: str, **fields: object) -> None:
        self.told.append((event, fields.get("error"), fields.get("untold")))

    def fired(self, items: object, at: int) -> None:
        raise AssertionError

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.told]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_outage_of_hours_is_two_lines(scene: Scene) -> None:
    for _ in range(10_000):
        scene.now += scene.trouble.met(Unreachable("no answer"))
    scene.trouble.over()
    scene.trouble.over()
    assert scene.told == [("redis_down", "no answer", None), ("redis_up", None, None)]


def test_pauses_between_tries_are_bounded_however_many_have_failed(scene: Scene) -> None:
    pauses = [scene.trouble.met(Unreachable("no answer")) for _ in range(1_100)]
    assert max(pauses) <= 0.5
    scene.trouble.over()
    assert scene.trouble.met(Unreachable("no answer")) <= 0.1


def test_words_that_change_with_each_try_are_told_ever_more_rarely(scene: Scene) -> None:
    for number in range(40_000):
        scene.now += scene.trouble.met(Unreachable(f"refused at {number}"))
    assert scene.now > 10_000
    assert MOST_TEXTS < len(scene.told) < MOST_TEXTS + 10
    assert scene.told[MOST_TEXTS][2] == MOST_CHANGES  # at least so many were others again


def test_another_reason_amid_an_outage_is_told_at_once(scene: Scene) -> None:
    for error in (Unreachable("refused"), Unreachable("loading"), Unreachable("refused"), Refused("spoilt")):
        scene.trouble.met(error)
    assert scene.names == ["redis_down", "redis_down", "lease_refused"]


def test_a_link_that_flaps_for_an_hour_is_no_flood_and_the_last_line_says_how_it_is(scene: Scene) -> None:
    while scene.now < 3_600:
        scene.trouble.met(Unreachable("reset"))
        scene.now += 0.1
        scene.trouble.over()
        scene.now += 0.1
    assert len(scene.told) < MOST_CHANGES + 3_600 / CHANGE_S + 1
    for _ in range(2):
        scene.now += CHANGE_S
        scene.trouble.over()
    assert scene.names[-1] == "redis_up"
    scene.now += CHANGE_S
    scene.trouble.met(Unreachable("reset"))
    assert scene.names[-1] == "redis_down"


def test_a_few_changes_are_all_told(scene: Scene) -> None:
    for _ in range(4):
        scene.trouble.met(Unreachable("reset"))
        scene.trouble.over()
    assert scene.names == ["redis_down", "redis_up"] * 4
