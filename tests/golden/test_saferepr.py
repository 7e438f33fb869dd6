"""Our short texts of args and kwargs are Celery's, character by character."""

from typing import Any

import pytest
from celery.utils.saferepr import saferepr as celery_saferepr
from hypothesis import example, given
from hypothesis import strategies as st

from beatd.formats._saferepr import saferepr

ODD_VALUES = {
    "nothing": [],
    "an empty object": {},
    "None and booleans": [None, True, False],
    "floats": [1.0, -0.0, 1e300, 1e-7, 0.1 + 0.2, 123456789.123456789],
    "big ints": [2**64, -(10**200)],
    "quotes": ["it's", 'say "x"', "\\", "''", "'"],
    "control characters": ["\n\t\x00", "\u2028", "\x7f"],
    "unicode": ["Grüße", "世界", "🌍", {"ключ": "значение"}],
    "three levels": [[["x"]]],
    "four levels": [[[["x"]]]],
    "four levels of objects": {"a": {"b": {"c": {"d": 1}}}},
    "empty below the third level": [[[[]]], [[{}]], {"a": {"b": {}}}],
    "a long text": ["x" * 5_000],
    "a text of just the length": ["x" * 1_023],
    "a text one short of the length": ["x" * 1_022],
    "words": ["word " * 1_000],
    "many numbers": list(range(2_000)),
    "many objects": [{"id": n, "name": f"item {n}"} for n in range(200)],
    "a long key": {"k" * 2_000: 1, "b": 2},
    "length spent in a key": {"k" * 1_020: {"a": [1, 2]}},
    "length spent before a container": ["x" * 1_019, [1], {"a": 2}],
    "length spent at the very end": ["x" * 1_021],
    "length spent within nested containers": [[["x" * 1_020]], [1]],
    "a big int cut": [10**1_500, 2],
}


@pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES.keys())
def test_an_odd_value_is_written_as_celery_writes_it(value: Any) -> None:
    assert saferepr(value) == celery_saferepr(value, 1024, maxlevels=3)


@pytest.mark.parametrize("length", range(1_000, 1_040))
def test_every_way_to_spend_the_length_ends_as_in_celery(length: int) -> None:
    for value in (
        ["x" * length],
        ["x" * length, 1],
        [["x" * length], [2]],
        [[["x" * length]], {"k": []}],
        {"k" * length: "v"},
        {"a": {"b": "x" * length}, "c": 1},
        [{"a": "x" * length}, {}],
        ["x" * length, [], {}, [[[[1]]]]],
        ["x" * (length - 4), 123_456, "y"],
    ):
        assert saferepr(value) == celery_saferepr(value, 1024, maxlevels=3)


texts = st.text() | st.builds(lambda text, times: text * times, st.text(max_size=8), st.integers(0, 700))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


@given(values)
@example(["x" * 1_020, {"a": [1, {"b": 2}]}])
def test_any_value_is_written_as_celery_writes_it(value: Any) -> None:
    assert saferepr(value) == celery_saferepr(value, 1024, maxlevels=3)
