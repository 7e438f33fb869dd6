"""The names of all keys of one namespace. T = ``{beatd:<namespace>:<shard>}``, so that all lie in one cluster slot."""

import re
from dataclasses import dataclass
from typing import Final

from beatd.errors import ConfigInvalid

FORMAT: Final = 1  # of what is stored; a leader of an older format stays standby
SHARDS: Final = 1
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of one namespace and shard. Raises ConfigInvalid for a namespace that can't be one."""

    namespace: str = "default"
    shard: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.namespace, str) or not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigInvalid(
                f"namespace: found {self.namespace!r}; accepted are 1 to 64 of A-Z a-z 0-9 . _ -",
            )

    @property
    def tag(self) -> str:
        """T, the common prefix."""
        return f"{{beatd:{self.namespace}:{self.shard}}}"

    def key(self, kind: str) -> str:
        """The key that holds `kind` ('due', 'rev', ...; PROTOCOL's table)."""
        return f"{self.tag}:{kind}"
