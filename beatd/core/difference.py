"""The difference between the entries of files and what is stored of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SHRINK_FROM = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """Names to write and to remove. ``conflicts`` are held by somebody else: not overwritten.

    renames: new name -> old name of puts that are a removed entry under another name. Both halves belong in one step,
    so the old names are not among the removes.
    """

    puts: Sequence[str]
    removes: Sequence[str]
    conflicts: Sequence[str]
    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.puts and not self.removes


def difference(wanted: Mapping[str, str], stored: Mapping[str, str], held: frozenset[str]) -> Difference:
    """`wanted`, `stored`: name -> hash of the definition, in files and in Redis; `held`: names that exist there under
    another owner.
    """
    changed = [name for name, found in wanted.items() if stored.get(name) != found and name not in held]
    gone = {name: stored[name] for name in stored if name not in wanted}
    renames = _renames({name: wanted[name] for name in changed if name not in stored}, gone)
    renamed = set(renames.values())
    removes = [name for name in gone if name not in renamed]
    return Difference(changed, removes, sorted(held & wanted.keys()), renames)


def _renames(new: Mapping[str, str], gone: Mapping[str, str]) -> dict[str, str]:
    """Pairs new entries with removed ones of the same definition, one by one, in the order of the file."""
    free: dict[str, list[str]] = defaultdict(list)
    for name in sorted(gone, reverse=True):
        free[gone[name]].append(name)
    return {name: free[found].pop() for name, found in new.items() if free.get(found)}


def shrinks_too_much(stored: int, removed: int) -> bool:
    """Whether a file takes away more than half of more than ten entries at once: more likely a mistake."""
    return stored > SHRINK_FROM and removed * 2 > stored
