"""What a server answers, as RESP2 means it."""

from dataclasses import dataclass
from typing import Any


class Status(bytes):
    """A simple string, such as OK; everything else in bytes is a bulk string."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An error reply, its code first."""

    text: str


Reply = Any  # bytes, int, None, Status, Failure, lists of these
