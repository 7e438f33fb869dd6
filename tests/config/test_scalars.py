"""Unquoted texts by the core rules of YAML 1.2, and what YAML 1.1 reads otherwise."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from beatd.config.scalars import read_scalar, trap_of

TABLE = [
    ("", None),
    ("~", None),
    ("null", None),
    ("NULL", None),
    ("true", True),
    ("False", False),
    ("yes", "yes"),
    ("NO", "NO"),
    ("on", "on"),
    ("y", "y"),
    ("0", 0),
    ("-12", -12),
    ("+3", 3),
    ("010", 10),
    ("0o17", 15),
    ("0x1F", 31),
    ("1_000", "1_000"),
    ("0b11", "0b11"),
    ("1.5", 1.5),
    (".5", 0.5),
    ("1.", 1.0),
    ("1e3", 1000.0),
    ("-1.5E-2", -0.015),
    ("12:30", "12:30"),
    ("2026-01-01", "2026-01-01"),
    ("1.2.3", "1.2.3"),
    ("+", "+"),
    ("-", "-"),
    (".", "."),
    ("null x", "null x"),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("٣", "٣"),
    ("9" * 5_000, "9" * 5_000),
]


@pytest.mark.parametrize("text, value", TABLE)
def test_a_plain_scalar_is_read_by_yaml_1_2(text: str, value: object) -> None:
    found = read_scalar(text)
    assert (found, type(found)) == (value, type(value))


def test_nan_is_no_number() -> None:
    assert math.isnan(read_scalar(".nan"))  # type: ignore[arg-type]


@given(st.text(st.sampled_from("0123456789_+-.:eExobnyNY~tfals"), max_size=12))
def test_where_yaml_1_1_reads_otherwise_something_is_said_or_it_is_a_time_or_a_word(text: str) -> None:
    """PyYAML is the judge of 1.1: any difference that is no text here must be told."""
    try:
        old = yaml.safe_load(f"- {text}")[0]
    except (yaml.YAMLError, ValueError):
        return
    new = read_scalar(text)
    if isinstance(old, int | float) and not isinstance(old, bool) and isinstance(new, int | float):
        assert old == new or trap_of(text) is not None or (math.isnan(old) and math.isnan(new))
    if isinstance(old, bool) and not isinstance(new, bool):
        assert trap_of(text) is not None
    if isinstance(old, int) and isinstance(new, str) and ":" not in text and "b" not in text and "x" not in text:
        assert trap_of(text) is not None
