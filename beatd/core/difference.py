"""The difference between the entries of files and what is stored of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from beatd.core.entry import Entry

SHRINK_FROM = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """What to write and what to remove. ``conflicts`` are names that somebody else holds: not overwritten."""

    puts: Sequence[Entry]
    removes: Sequence[str]
    conflicts: Sequence[str]

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
    gone = [name for name in stored if name not in wanted]
    return Difference(changed, gone, sorted(wanted & held))


def shrinks_too_much(stored: int, removed: int) -> bool:
    """Whether a file takes away more than half of more than ten entries at once: more likely a mistake."""
    return stored > SHRINK_FROM and removed * 2 > stored
