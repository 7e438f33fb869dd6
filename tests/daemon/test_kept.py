"""What is kept for another use: the last used, within a bound."""

from hypothesis import given
from hypothesis import strategies as st

from beatd.daemon.kept import Kept

SIZES = {"a": 1, "b": 5, "c": 8, "d": 13, "e": 20, "f": 31, "g": 40, "h": 49}
USES = st.lists(st.tuples(st.sampled_from(sorted(SIZES)), st.booleans()), max_size=60)


@given(USES)
def test_what_was_used_within_half_of_the_bound_is_still_there_and_no_more_than_the_bound_is_kept(
    uses: list[tuple[str, bool]],
) -> None:
    kept: Kept[str, int] = Kept(100, lambda value: value)
    last: dict[str, int] = {}  # in the order of use, the last at the end
    for key, put in uses:
        if put:
            kept.put(key, SIZES[key])
            last.pop(key, None)
            last[key] = SIZES[key]
        elif (found := kept.get(key)) is not None:
            assert found == last.pop(key)
            last[key] = found
    assert sum({**kept._old, **kept._young}.values()) <= 100 + max(SIZES.values())
    room = 50
    for key, size in reversed(last.items()):
        room -= size
        if room < 0:
            break
        assert kept.get(key) == size


def test_another_value_takes_the_place_of_the_first() -> None:
    kept: Kept[str, str] = Kept(100, len)
    kept.put("a", "old")
    kept.put("a", "new")
    assert kept.get("a") == "new"


def test_a_value_larger_than_the_bound_is_kept_until_others_come() -> None:
    kept: Kept[str, str] = Kept(10, len)
    kept.put("large", "x" * 50)
    assert kept.get("large") is not None
    for key in "abc":
        kept.put(key, "x" * 6)
    assert kept.get("large") is None
