"""Task ids, jitter and phase: the same from whoever computes them."""

import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.core.fire import TASK_ID_NAMESPACE, TaskIds, jitter_of, name_hash

SLOTS = st.integers(-(2**53), 2**53)


@given(st.text(), st.text(), SLOTS)
def test_a_task_id_is_the_uuid5_of_namespace_entry_and_slot(namespace: str, entry: str, slot: int) -> None:
    expected = uuid.uuid5(TASK_ID_NAMESPACE, f"{namespace}\x1f{entry}\x1f{slot}")
    assert TaskIds(namespace).of(entry, slot) == str(expected)


@given(st.lists(SLOTS, max_size=5), SLOTS)
def test_an_id_does_not_depend_on_the_ids_made_before_it(others: list[int], slot: int) -> None:
    used = TaskIds("default")
    for other in others:
        used.of("nightly", other)
    assert used.of("nightly", slot) == TaskIds("default").of("nightly", slot)


def test_task_ids_stay_what_they_are_for_ever() -> None:
    assert TaskIds("default").of("nightly-report", 1_796_000_400_000) == "f74d198d-c44d-5935-8f93-cb17d96a3d4f"


@pytest.mark.parametrize("other", [("defaul", "tnightly", 0), ("default", "nightly", 1), ("other", "nightly", 0)])
def test_another_namespace_entry_or_slot_is_another_id(other: tuple[str, str, int]) -> None:
    namespace, entry, slot = other
    assert TaskIds(namespace).of(entry, slot) != TaskIds("default").of("nightly", 0)


@pytest.mark.parametrize(
    "name, expected", [("", 0xE3B0C44298FC1C14), ("nightly", 0x2A3B62B53DDB9F16), ("Café ☕", 0x0C3EECB944C2E450)]
)
def test_the_hash_of_a_name_is_what_any_language_computes(name: str, expected: int) -> None:
    assert name_hash(name) == expected


@given(st.text())
def test_the_hash_of_a_name_is_the_front_of_its_sha256(name: str) -> None:
    assert f"{name_hash(name):016x}" == hashlib.sha256(name.encode()).hexdigest()[:16]


@given(st.text(), st.integers(1, 10**12))
def test_jitter_is_the_hash_of_the_name_modulo_what_was_asked_for(name: str, jitter: int) -> None:
    assert jitter_of(name, jitter) == name_hash(name) % jitter


def test_without_jitter_there_is_none() -> None:
    assert jitter_of("nightly", 0) == 0


def test_many_names_spread_over_the_whole_jitter() -> None:
    offsets = [jitter_of(f"entry-{n}", 60_000) // 6_000 for n in range(10_000)]
    assert all(900 <= offsets.count(tenth) <= 1_100 for tenth in range(10))
