"""Values kept for another use, the last used ones, within a bound in bytes."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """A bounded cache in two halves: what is used moves into the young one; once that is full the old one goes.

    So a value costs one place in a dictionary, and what was used among the last ``most_bytes / 2`` is still there.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[V], int]) -> None:
        self._half = most_bytes // 2
        self._size_of = size_of
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._size = 0  # of the young half

    def get(self, key: K) -> V | None:
        """The value of a key, if it is still kept."""
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """Keeps a value, in place of an earlier one of that key."""
        before = self._young.pop(key, None)
        self._old.pop(key, None)
        self._size += self._size_of(value) - (0 if before is None else self._size_of(before))
        self._young[key] = value
        if self._size > self._half:
            self._old, self._young, self._size = self._young, {}, 0
