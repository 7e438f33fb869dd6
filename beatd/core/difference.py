"""The difference between the entries of files and what is stored of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHRINK_FROM = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """Names to write and to remove. ``conflicts`` are held by somebody else: not overwritten."""

    puts: Sequence[str]
    removes: Sequence[str]
    conflicts: Sequence[str]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.puts and not self.removes


def difference(wanted: Mapping[str, str], stored: Mapping[str, str], held: frozenset[str]) -> Difference:
    """`wanted`, `stored`: name -> hash of the definition, in files and in Redis; `held`: names that exist there under
    another owner.
    """
    changed = [name for name, found in wanted.items() if stored.get(name) != found and name not in held]
    gone = [name for name in stored if name not in wanted]
    return Difference(changed, gone, sorted(held & wanted.keys()))


def shrinks_too_much(stored: int, removed: int) -> bool:
    """Whether a file takes away more than half of more than ten entries at once: more likely a mistake."""
    return stored > SHRINK_FROM and removed * 2 > stored
