"""The difference between the entries of files and what is stored of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from beatd.core.entry import Entry

SHRINK_FROM = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """What to write and what to remove. ``conflicts`` are names that somebody else holds: not overwritten.

    renames: new name -> old name of puts that are a removed entry under another name. Both halves belong in one step,
    so the old names are not among the removes.
    """

    puts: Sequence[Entry]
    removes: Sequence[str]
    conflicts: Sequence[str]
    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.puts and not self.removes


def definition_hash(entry: Entry) -> str:
    """The hash of a definition, as kept in T:file."""
    return sha256(entry.to_definition().encode()).hexdigest()[:32]


def difference(entries: Sequence[Entry], stored: Mapping[str, str], held: frozenset[str]) -> Difference:
    """`stored`: name -> hash of file entries in Redis; `held`: names that exist there under another owner."""
    wanted = {entry.name for entry in entries}
    changed = [e for e in entries if stored.get(e.name) != definition_hash(e) and e.name not in held]
    gone = {name: stored[name] for name in stored if name not in wanted}
    renames = _renames([entry for entry in changed if entry.name not in stored], gone)
    removes = [name for name in gone if name not in set(renames.values())]
    return Difference(changed, removes, sorted(wanted & held), renames)


def _renames(new: Sequence[Entry], gone: Mapping[str, str]) -> dict[str, str]:
    """Pairs new entries with removed ones of the same definition, one by one, in the order of the file."""
    free: dict[str, list[str]] = defaultdict(list)
    for name in sorted(gone, reverse=True):
        free[gone[name]].append(name)
    found = {}
    for entry in new:
        if names := free.get(definition_hash(entry)):
            found[entry.name] = names.pop()
    return found


def shrinks_too_much(stored: int, removed: int) -> bool:
    """Whether a file takes away more than half of more than ten entries at once: more likely a mistake."""
    return stored > SHRINK_FROM and removed * 2 > stored
