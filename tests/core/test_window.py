"""The window: what is staged, by moment, beside a naive dictionary that does the same."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from beatd.core.window import MOST_PASSED_OVER, SLICE_MS, Staged, Window
from tests.core.entries import compiled, staged
from tests.support.examples import examples

NAMES = [f"entry-{n}" for n in range(8)]
COMPILED = {(name, rev): compiled(name, rev, args=["x" * size]) for name in NAMES for rev, size in (("1", 1), ("2", 9))}
# Few moments, so that they are shared; on both sides of the borders of slices.
MOMENTS = st.sampled_from([0, 1, SLICE_MS - 1, SLICE_MS, SLICE_MS + 1, 2 * SLICE_MS, 5 * SLICE_MS, 5 * SLICE_MS + 7])


class WindowBesideADictionary(RuleBasedStateMachine):
    """Every answer of the window is compared with that of a dictionary of what is staged, walked in full."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window()
        self.staged: dict[str, Staged] = {}
        self.cleared = 0
        self.last: Staged | None = None

    @rule(name=st.sampled_from(NAMES), rev=st.sampled_from(["1", "2"]), moment=MOMENTS)
    def stage(self, name: str, rev: str, moment: int) -> None:
        self._stage(Staged(COMPILED[name, rev], moment, None))

    @rule(moments=st.lists(MOMENTS, min_size=1, max_size=3))
    def stage_all_over_and_over(self, moments: Sequence[int]) -> None:
        for number in range(20):
            self.stage_the_very_same_item_again()
            self._stage(Staged(COMPILED[NAMES[number % 8], "1"], moments[number % len(moments)], None))

    @rule()
    def stage_the_very_same_item_again(self) -> None:
        if self.last is not None:
            self._stage(self.last)

    def _stage(self, item: Staged) -> None:
        self.last = item
        self.window.stage(item)
        self.staged[item.name] = item

    @rule(name=st.sampled_from(NAMES))
    def drop(self, name: str) -> None:
        self.window.drop(name)
        self.staged.pop(name, None)

    @rule(now=MOMENTS, at_most=st.integers(0, 5))
    def take_due(self, now: int, at_most: int) -> None:
        self._taken(self.window.take_due(now, at_most), self._due(-1, now)[:at_most])

    @rule(since=MOMENTS, now=MOMENTS, at_most=st.integers(0, 5))
    def take_fresh(self, since: int, now: int, at_most: int) -> None:
        self._taken(self.window.take_fresh(since, now, at_most), self._due(since, now)[::-1][:at_most])

    def _due(self, since: int, now: int) -> list[int]:
        """The moments in (since, now], oldest first."""
        return sorted(item.moment for item in self.staged.values() if since < item.moment <= now)

    def _taken(self, found: Sequence[Staged], moments: Sequence[int]) -> None:
        """These moments were taken: of entries with equal ones any will do."""
        assert [item.moment for item in found] == moments
        for item in found:
            assert self.staged.pop(item.name) is item

    @rule(bound=MOMENTS)
    def move_the_bound(self, bound: int) -> None:
        self.window.bound = bound
        assert self.window.covers(bound)
        assert not self.window.covers(bound + 1)

    @rule()
    def clear(self) -> None:
        self.window.clear()
        self.staged.clear()
        self.cleared += 1
        assert self.window.bound == -1
        assert not self.window.covers(0)

    @invariant()
    def answers_are_the_same(self) -> None:
        items = self.staged.values()
        assert len(self.window) == len(items)
        assert self.window.size == sum(item.compiled.size for item in items)
        assert self.window.generation == self.cleared + 1
        for name in NAMES:
            item = self.staged.get(name)
            assert self.window.moment_of(name) == (None if item is None else item.moment)
        for moment in (0, SLICE_MS, 5 * SLICE_MS + 7):
            assert self.window.staged_at(moment) == sum(item.moment == moment for item in items)

    @rule()
    def earliest(self) -> None:
        assert self.window.earliest() == min((item.moment for item in self.staged.values()), default=None)


TestTheWindowAnswersLikeADictionary = WindowBesideADictionary.TestCase
TestTheWindowAnswersLikeADictionary.settings = settings(
    max_examples=examples(150), stateful_step_count=40, deadline=None
)


def test_a_new_window_has_read_nothing() -> None:
    window = Window()
    assert (len(window), window.earliest(), window.bound, window.covers(0), window.size) == (0, None, -1, False, 0)


def test_what_was_replaced_is_never_taken() -> None:
    window, replaced = Window(), staged("a", 5)
    again = staged("a", 7)
    window.stage(replaced)
    window.stage(again)
    assert window.take_due(6, 10) == []
    assert window.take_due(7, 10) == [again]


def test_a_storm_at_one_moment_is_taken_in_parts() -> None:
    window, ready = Window(), compiled("x")
    for n in range(250):
        window.stage(Staged(ready._replace(name=f"e{n}"), 5, None))
    parts = [window.take_due(5, 100) for _ in range(4)]
    assert [len(part) for part in parts] == [100, 100, 50, 0]
    assert len({item.name for part in parts for item in part}) == 250


def test_what_is_fresh_is_taken_before_a_backlog() -> None:
    window = Window()
    for n in range(10):
        window.stage(staged(f"old-{n}", n))
    window.stage(staged("fresh", 1_000))
    assert [item.name for item in window.take_fresh(900, 1_000, 5)] == ["fresh"]
    assert window.earliest() == 0


def test_what_falls_due_just_after_a_storm_does_not_wait_behind_it() -> None:
    window = Window()
    for n in range(10):
        window.stage(staged(f"storm-{n}", 1_000))
    window.stage(staged("heartbeat", 1_005))
    assert window.take_fresh(900, 1_050, 5)[0].name == "heartbeat"


def test_nothing_is_left_behind_by_what_was_taken() -> None:
    """Memory follows what is staged: buckets and slices go with their last entry."""
    window = Window()
    for n in range(1_000):
        window.stage(staged("a", n * 50))
        window.take_due(n * 50, 1)
    assert window.earliest() is None
    assert (len(window._buckets), len(window._slices), len(window._moments)) == (0, 0, 0)


def test_little_is_left_behind_when_most_of_what_was_staged_has_gone() -> None:
    window = Window()
    for moment in (0, 1_000, 2_000):
        for number in range(200):
            window.stage(staged(f"e{number}", moment + number))
    window.take_due(2_000 + 99, 100)
    for number in range(100, 195):
        window.drop(f"e{number}")
    held = sum(len(bucket.items) for bucket in window._buckets.values())
    assert len(window) == 5
    assert held <= MOST_PASSED_OVER + 3 * len(window)


def test_what_is_staged_anew_for_hours_while_nothing_is_taken_leaves_little_behind() -> None:
    window = Window()
    window.stage(staged("steady", 0))
    for number in range(1000):
        window.stage(staged("edited", 1 + number % 50))
        window.stage(staged("steady", 0))
    held = sum(len(bucket.items) for bucket in window._buckets.values())
    assert held <= MOST_PASSED_OVER + 3 * len(window)
    assert len(window._moments) == len(window._buckets) <= held
    assert [item.name for item in window.take_due(100, 10)] == ["steady", "edited"]
