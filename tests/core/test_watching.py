"""When a file is taken to be unchanged, and when what was read of it may be believed."""

from typing import Any

import pytest

from beatd.core.watching import RACY_NS, SETTLE_S, Signature, is_unchanged, second_look_at

T = 1_800_000_000_000_000_000
STAMPS = Signature(T, T, 10, 1, 2, "/etc/beatd/schedules.yaml")


def test_a_file_with_the_same_stamps_is_not_hashed_again() -> None:
    assert is_unchanged(STAMPS, STAMPS, T + RACY_NS + 1)


@pytest.mark.parametrize("changed", [{name: 0} for name in STAMPS._fields])
def test_any_other_stamp_is_a_change(changed: dict[str, Any]) -> None:
    assert not is_unchanged(STAMPS, STAMPS._replace(**changed), T + RACY_NS + 1)


@pytest.mark.parametrize("after_ns", [0, RACY_NS, -RACY_NS])
def test_what_was_hashed_in_the_grain_of_its_stamps_is_hashed_again(after_ns: int) -> None:
    assert not is_unchanged(STAMPS, STAMPS, T + after_ns)


def test_what_was_never_hashed_is_hashed() -> None:
    assert not is_unchanged(None, STAMPS, T + RACY_NS + 1)


def test_what_was_read_as_it_was_seen_has_to_last_from_then_on() -> None:
    assert second_look_at({"a": "1"}, 10.0, {"a": "1"}, 10.4) == 10.0 + SETTLE_S


@pytest.mark.parametrize("read", [{"a": "2"}, {"a": "1", "new": "1"}, {"a": None}, {}])
def test_what_was_read_otherwise_has_to_last_from_the_reading_on(read: dict[str, str | None]) -> None:
    assert second_look_at({"a": "1"}, 10.0, read, 10.4) == 10.4 + SETTLE_S
