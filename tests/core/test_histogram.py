"""Values by bounds."""

from beatd.core.histogram import Histogram


def test_a_value_counts_for_its_bound_and_all_above() -> None:
    found = Histogram((1, 5, 10))
    assert found.cumulated() == [0, 0, 0, 0]
    for value, times in ((0, 1), (1, 1), (2, 3), (10, 1), (11, 1)):
        found.add(value, times)
    assert found.cumulated() == [2, 5, 6, 7]
    assert found.total == 0 + 1 + 6 + 10 + 11
