"""YAML events into a tree of marked values, within bounds, without recursion: a hostile file costs no more than a large
one.

PyYAML's own composer resolves by YAML 1.1, keeps the last of two equal keys, and follows any nesting; and it takes six
times as long.
"""

from collections.abc import Callable
from typing import Any, Final

import yaml

from beatd.config.nodes import Mapping, Node, Scalar, Sequence, Unusable
from beatd.config.problems import Problem
from beatd.config.scalars import OLD_FALSE, OLD_TRUE
from beatd.config.source import Source
from beatd.core.shown import shown

DEEPEST: Final = 120
MOST_NODES: Final = 500_000
MOST_FROM_ALIASES: Final = 1_000_000  # nodes that exist by reference only
FREE_FROM_ALIASES: Final = 100_000
ALIASED_EACH: Final = 20  # above the free ones: so many for each node that is really written

MERGE: Final = "<<"
_TAG: Final = "tag:yaml.org,2002:"
_TYPED_TAGS: Final = frozenset({_TAG + kind for kind in ("int", "float", "bool", "null")})
_KNOWN_TAGS: Final = _TYPED_TAGS | {_TAG + kind for kind in ("str", "map", "seq")} | {"!"}

# The parser in C; the one in Python where PyYAML was built without libyaml: same events, same marks, other words.
Parser: Final[Callable[[str], Any]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):  # carries a problem that ends the reading of this file
    """A bound of the tree was passed."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def too_many(node: Node, most: int) -> Refused:
    """The end of a file with more values than that."""
    hint = "spread the entries over several files: include takes them all"
    return Refused(node.problem("E009", f"more than {most:,} values in one file", hint))


def build_tree(
    source: Source, text: str, parser: Callable[[str], Any] = Parser, most_nodes: int = MOST_NODES
) -> tuple[Node | None, list[Problem]]:
    """The tree of a text, and the problems that let the rest be read. None stands for an empty text.

    ``text`` is the source's, or that with some lines mended. Raises yaml.YAMLError where it is not YAML, Refused.
    """
    return _Builder(source, most_nodes).build(parser(text))


class _Frame:
    """An open collection: a list, or a mapping with the key whose value is awaited."""

    __slots__ = ("anchor", "key", "merges", "node", "usable")

    def __init__(self, node: Sequence | Mapping, anchor: str | None, usable: bool) -> None:
        self.node = node
        self.anchor = anchor
        self.usable = usable
        self.key: Node | None = None
        self.merges: list[Node] = []


class _Builder:
    """A state machine over events: the open collections are its stack."""

    def __init__(self, source: Source, most_nodes: int) -> None:
        self.source = source
        self.most_nodes = most_nodes
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self.open: list[_Frame] = []
        self.anchors: dict[str, Node | None] = {}  # None while the anchored node is still open
        self.written = 0
        self.aliased = 0

    def build(self, events: Any) -> tuple[Node | None, list[Problem]]:
        get = events.get_event
        documents = 0
        while True:
            event = get()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._start(event, Mapping(self.source, *_place(event)))
            elif kind is yaml.SequenceStartEvent:
                self._start(event, Sequence(self.source, *_place(event)))
            elif kind in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
                self._end()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    message, hint = "a second document begins here; one is accepted", "put it into a file of its own"
                    self.problems.append(self.source.problem(*_place(event), "E008", message, hint))
                    return self.root, self.problems
            elif kind is yaml.StreamEndEvent:
                return self.root, self.problems

    def _scalar(self, event: Any) -> None:
        node: Node = Scalar(self.source, *_place(event), event.value, event.implicit[0])
        if event.tag is not None and not self._known(event.tag, node):
            node = Unusable(self.source, node.line, node.column)
        if event.tag in _TYPED_TAGS and isinstance(node, Scalar):
            node.plain = True
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self._count(node)
        self._put(node)

    def _start(self, event: Any, node: Sequence | Mapping) -> None:
        if len(self.open) >= DEEPEST:
            raise Refused(node.problem("E010", f"more than {DEEPEST} levels deep"))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self._count(node)
        usable = event.tag is None or self._known(event.tag, node)
        self.open.append(_Frame(node, event.anchor, usable))

    def _end(self) -> None:
        frame = self.open.pop()
        node: Node = frame.node
        if isinstance(node, Mapping) and frame.merges:
            self._merge(node, frame.merges)
        if not frame.usable:
            node = Unusable(self.source, node.line, node.column, size=node.size)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = node
        self._put(node)

    def _alias(self, event: Any) -> None:
        line, column = _place(event)
        node = self.anchors.get(event.anchor)
        if node is None:
            node = Unusable(self.source, line, column)
            inside = event.anchor in self.anchors
            found = f"*{event.anchor} stands inside what it names" if inside else f"nothing is named &{event.anchor}"
            self.problems.append(node.problem("E029", found, f'write "*{event.anchor}" if that text is meant'))
        self.aliased += node.size
        if self.aliased > min(MOST_FROM_ALIASES, FREE_FROM_ALIASES + ALIASED_EACH * self.written):
            message = "aliases multiply what is written here beyond all measure"
            raise Refused(
                self.source.problem(line, column, "E009", message, "refer to less, or write less by reference")
            )
        self._put(node)

    def _known(self, tag: str, node: Node) -> bool:
        if tag in _KNOWN_TAGS:
            return True
        hint = "leave the tag out: texts, numbers, true, false, lists and mappings need none"
        self.problems.append(node.problem("E027", f"found the tag {tag.replace(_TAG, '!!')}; none is accepted", hint))
        return False

    def _count(self, node: Node) -> None:
        self.written += 1
        if self.written > self.most_nodes:
            raise too_many(node, self.most_nodes)

    def _put(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        frame = self.open[-1]
        frame.node.size += node.size
        if isinstance(frame.node, Sequence):
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = node
        else:
            key, frame.key = frame.key, None
            self._pair(frame, frame.node, key, node)

    def _pair(self, frame: _Frame, mapping: Mapping, key: Node, value: Node) -> None:
        if not isinstance(key, Scalar) or key.missing:
            self._refuse_key(frame, key)
            return
        if key.text == MERGE and key.plain:
            if frame.merges:
                self._double(key, frame.merges[0].line)
            frame.merges.append(value)
            return
        if key.text in mapping.items:
            self._double(key, mapping.items[key.text][0].line)
            return
        if key.plain and (key.text in OLD_TRUE or key.text in OLD_FALSE):
            message = f"the key {key.text} is a text here, YAML 1.1 reads {str(key.text in OLD_TRUE).lower()}"
            self.problems.append(key.problem("W004", message, f'write "{key.text}"'))
        mapping.items[key.text] = (key, value)

    def _double(self, key: Scalar, first: int) -> None:
        hint = "write both in one list: <<: [*first, *second]" if key.text == MERGE else "keep one of them"
        message = f"the key {shown(key.text)} stands on line {first + 1} and again here"
        self.problems.append(key.problem("E026", message, hint))

    def _refuse_key(self, frame: _Frame, key: Node) -> None:
        if isinstance(key, Unusable):
            return
        line = self.source.lines[key.line] if key.line < len(self.source.lines) else ""
        if isinstance(key, Mapping) and line[max(0, key.column - 1) :].startswith("{{"):
            frame.usable = False
            hint = 'write it in quotes: "{{...}}"'
            self.problems.append(
                key.problem("E024", "unquoted {{ begins a mapping, and no template is filled in", hint)
            )
        else:
            self.problems.append(key.problem("E034", "a key is a text", "quote it if it holds special characters"))

    def _merge(self, mapping: Mapping, merges: list[Node]) -> None:
        """YAML 1.1: own keys win, then the first of the merged mappings that has the key."""
        for value in merges:
            for merged in value.items if isinstance(value, Sequence) else [value]:
                if isinstance(merged, Mapping):
                    mapping.items |= {key: pair for key, pair in merged.items.items() if key not in mapping.items}
                elif not isinstance(merged, Unusable):
                    message = "<< takes a mapping, or a list of mappings"
                    self.problems.append(merged.problem("E035", message, "refer to one: <<: *name"))


def _place(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line, mark.column
