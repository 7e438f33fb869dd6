"""The server's clock as seen from here, against a simulated server whose true time is known."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.daemon.clock import ServerClock

T0 = 1_800_000_000_000


@dataclass
class Server:
    """A server whose clock is ``ahead`` ms ahead of our monotonic one, asked over a network with delays in ms."""

    ahead: float = T0
    at: float = 50_000.0  # our monotonic clock, ms
    clock: ServerClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = ServerClock(lambda: self.at / 1000)

    def ask(self, there: float = 0.4, back: float = 0.4) -> None:
        sent = self.clock.monotonic()
        self.at += there
        answer = int(self.at + self.ahead)
        self.at += back
        self.clock.observe(sent, answer)

    @property
    def lag(self) -> float:
        """By how much we are behind the server's clock; never negative."""
        return self.at + self.ahead - self.clock.now_ms()


def test_a_clock_is_ready_with_its_first_sample() -> None:
    server = Server()
    assert not server.clock.ready
    server.ask()
    assert (server.clock.ready, server.clock.stepped) == (True, 0)


def test_unless_it_is_told_otherwise_it_runs_on_a_monotonic_clock_of_the_host() -> None:
    clock = ServerClock()
    before, after = clock.monotonic(), clock.monotonic()
    assert 0 <= after - before < 60
    clock.observe(after, T0)
    assert T0 - 60_000 < clock.now_ms() <= T0


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 400), st.floats(0, 3_000)), min_size=1, max_size=40))
def test_it_never_runs_ahead_of_the_server_and_no_further_behind_than_its_best_answer(
    delays: list[tuple[float, float, float]],
) -> None:
    server = Server()
    for there, back, pause in delays:
        server.ask(there, back)
        assert server.lag >= -0.01  # the rounding of a float of this size
        server.at += pause
    best = min(back for _, back, _ in delays[-16:])
    assert -0.01 <= server.lag <= best + 2
    assert server.clock.stepped == 0


@given(st.floats(-0.0005, 0.0005), st.lists(st.floats(0, 20), min_size=100, max_size=100))
def test_a_server_whose_clock_drifts_is_followed(drift: float, delays: list[float]) -> None:
    server = Server()
    for delay in delays:
        server.ask(delay, delay)
        server.at += 1_000
        server.ahead += 1_000 * drift
    server.ask(0.1, 0.1)
    assert -10 <= server.lag <= 25
    assert server.clock.stepped == 0


@pytest.mark.parametrize(
    "step, told", [(500, 0), (-500, 0), (900, 0), (1_500, 1), (-1_500, 1), (10**9, 1), (-(10**9), 1)]
)
def test_a_clock_that_is_set_is_followed_at_once_and_told_when_it_was_more_than_a_second(step: int, told: int) -> None:
    server = Server()
    for _ in range(20):
        server.ask()
    server.ahead += step
    server.ask()
    assert 0 <= server.lag <= 3
    for _ in range(20):
        server.ask()
    assert server.clock.stepped == told
    assert server.clock.step_ms == pytest.approx(step if told else 0, abs=3)


def test_small_corrections_that_add_up_are_no_step() -> None:
    server = Server()
    for _ in range(10):
        server.ask()
        server.ahead += 400
    for _ in range(10):
        server.ask()
        server.ahead -= 400
    assert server.clock.stepped == 0


@pytest.mark.parametrize("there, back", [(0.4, 10_000), (10_000, 0.4), (5_000, 5_000)])
def test_an_answer_that_was_long_under_way_is_no_step(there: float, back: float) -> None:
    server = Server()
    for _ in range(3):
        server.ask()
    server.ask(there, back)
    assert 0 <= server.lag <= 3
    server.ask()
    assert 0 <= server.lag <= 3
    assert server.clock.stepped == 0


def test_a_first_answer_that_was_long_under_way_is_corrected_by_the_next_without_a_step() -> None:
    server = Server()
    server.ask(1, 10_000)
    assert 10_000 <= server.lag <= 10_002
    server.ask()
    assert 0 <= server.lag <= 3
    assert server.clock.stepped == 0
