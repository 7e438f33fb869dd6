"""YAML as a tree of values with their places. Merged keys are in, aliases are shared, nothing is substituted yet."""

from dataclasses import dataclass, field

from beatd.config.problems import Problem
from beatd.config.source import Source


@dataclass(slots=True, eq=False)
class Node:
    """A value and where it stands; lines and columns count from 0. ``size`` counts it with all below it, aliases
    written out.
    """

    source: Source
    line: int
    column: int
    size: int = field(default=1, kw_only=True)

    def problem(self, code: str, message: str, hint: str | None = None) -> Problem:
        """A problem at this place."""
        return self.source.problem(self.line, self.column, code, message, hint)


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A text; ``plain`` when it stands without quotes, so that it may be a number, a boolean or nothing."""

    text: str = field(repr=False)
    plain: bool

    @property
    def missing(self) -> bool:
        """Whether nothing at all is written where a value belongs."""
        return self.plain and not self.text


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """Keys as they are written, each with its own place and its value."""

    items: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Unusable(Node):
    """Something a problem was told about already."""


def down(node: Node, path: tuple[str, ...]) -> Node:
    """The node that a path leads to, as far as it leads."""
    for step in path:
        if isinstance(node, Mapping) and step in node.items:
            node = node.items[step][1]
        elif isinstance(node, Sequence) and step.isdigit() and int(step) < len(node.items):
            node = node.items[int(step)]
        else:
            break
    return node
