"""The server's clock as an instance keeps it: never ahead, and a late answer is no step."""

from beatd.daemon.clock import ServerClock

NOW = 1_795_165_200_000


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def clock_at(monotonic: Monotonic) -> ServerClock:
    clock = ServerClock(monotonic)
    clock.observe(monotonic.seconds, NOW)
    return clock


def test_an_answer_read_five_seconds_late_is_no_step_and_does_not_slow_the_clock() -> None:
    monotonic = Monotonic()
    clock = clock_at(monotonic)
    sent = monotonic.seconds
    monotonic.seconds += 5  # stopped between question and answer
    clock.observe(sent, NOW)
    assert clock.stepped == 0
    assert clock.now_ms() == NOW + 5_000


def test_a_clock_set_forward_or_back_is_a_step() -> None:
    for jump in (3_600_000, -3_600_000, 1_500, -1_500):
        monotonic = Monotonic()
        clock = clock_at(monotonic)
        monotonic.seconds += 1
        clock.observe(monotonic.seconds, NOW + 1_000 + jump)
        assert clock.stepped == 1
        assert clock.now_ms() == NOW + 1_000 + jump


def test_a_clock_set_back_a_little_is_followed_so_that_nothing_is_asked_for_early() -> None:
    monotonic = Monotonic()
    clock = clock_at(monotonic)
    monotonic.seconds += 1
    clock.observe(monotonic.seconds, NOW + 700)
    assert clock.stepped == 0
    assert clock.now_ms() == NOW + 700
