"""The entries of files as they are to be stored: texts only, for tens of thousands of entries cost a garbage collector
dearly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from beatd.core.entry import Entry


@dataclass(frozen=True, slots=True)
class EntrySet:
    """``definitions``: name -> definition, ``hashes``: name -> hash of the definition, as kept in T:file."""

    definitions: Mapping[str, str]
    hashes: Mapping[str, str]
    hash: str

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "EntrySet":
        """The set of some entries."""
        return cls.of_definitions({entry.name: entry.to_definition() for entry in entries})

    @classmethod
    def of_definitions(cls, definitions: Mapping[str, str]) -> "EntrySet":
        """The set of some definitions by name."""
        hashes = {name: definition_hash(definition) for name, definition in definitions.items()}
        return cls(definitions, hashes, _hash(hashes))

    def __len__(self) -> int:
        return len(self.definitions)


def definition_hash(definition: str) -> str:
    """The hash of a definition."""
    return sha256(definition.encode()).hexdigest()[:32]


def _hash(hashes: Mapping[str, str]) -> str:
    """Equal for files that mean the same, however they are spelt and in how many files they are."""
    found = sha256()
    for name in sorted(hashes):
        found.update(f"{name}\n{hashes[name]}\n".encode(errors="surrogatepass"))
    return found.hexdigest()[:32]
