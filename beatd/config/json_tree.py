"""JSON into the same tree of marked values as YAML: who reads it knows the place of everything.

Python's own reader decides whether a text is JSON, and says where not; it tells no places of what is sound.
"""

import json
import re
from bisect import bisect
from typing import Any, Final

from beatd.config.nodes import Mapping, Node, Scalar, Sequence
from beatd.config.problems import Problems
from beatd.config.source import NEWLINE, Source
from beatd.config.yaml_tree import DEEPEST, Refused, too_many
from beatd.core.shown import shown

_TOKEN: Final = re.compile(
    r"""[ \t\n\r]*(?:([{}\[\],:])|"([^"\\]*(?:\\.[^"\\]*)*)"|(-?[0-9][0-9.eE+-]*|true|false|null))"""
)


def read_json(source: Source, text: str, first_line: int = 0) -> Any:
    """The values of a text, numbers as floats. Raises Refused at the place where it is no JSON."""
    try:
        return json.loads(text, parse_int=float)
    except json.JSONDecodeError as error:
        line, column = first_line + error.lineno - 1, error.colno - 1
        problem = source.problem(line, column, "E012", f"not JSON: {_lowered(error.msg)}")
    except RecursionError:
        problem = source.problem(first_line, 0, "E010", f"more than {DEEPEST} levels deep")
    raise Refused(problem)


def json_tree(
    source: Source, text: str, problems: Problems, *, most_nodes: int, data: bool, first_line: int = 0
) -> Node:
    """The tree of a text that ``read_json`` has read, which begins at ``first_line`` of its source.

    data: ``${`` in its texts is no variable. Raises Refused.
    """
    return _Builder(source, text, problems, most_nodes, data, first_line).build()


class _Builder:
    """A state machine over tokens: the open collections are its stack."""

    def __init__(
        self, source: Source, text: str, problems: Problems, most_nodes: int, data: bool, first_line: int
    ) -> None:
        self.source = source
        self.text = text
        self.problems = problems
        self.most_nodes = most_nodes
        self.data = data
        self.first_line = first_line
        self.starts = [0, *(found.end() for found in NEWLINE.finditer(text))]
        self.open: list[Sequence | Mapping] = []
        self.keys: list[Scalar | None] = []
        self.root: Node | None = None
        self.count = 0

    def build(self) -> Node:
        at = 0
        while self.open or self.root is None:
            token = _TOKEN.match(self.text, at)
            if token is None:  # what Python reads beyond JSON
                found = re.match(r"\s*(-?\w*)", self.text[at : at + 100])
                line, column = self._place(at + (found.start(1) if found else 0))
                message = f"not JSON: found {shown(found[1] if found else '')}"
                raise Refused(self.source.problem(line, column, "E012", message))
            at = token.end()
            self._token(token)
        return self.root

    def _token(self, token: "re.Match[str]") -> None:
        mark, string, plain = token.groups()
        if mark is None:
            kind = 2 if plain is None else 3
            text = plain if string is None else _unescaped(string)
            self._scalar(Scalar(self.source, *self._place(token.start(kind)), text, plain is not None))
        elif mark in "[{":
            node = (Sequence if mark == "[" else Mapping)(self.source, *self._place(token.start(1)))
            self._put(node)
            if len(self.open) >= DEEPEST:
                raise Refused(node.problem("E010", f"more than {DEEPEST} levels deep"))
            self.open.append(node)
            self.keys.append(None)
        elif mark in "]}":
            self.open.pop()
            self.keys.pop()

    def _scalar(self, node: Scalar) -> None:
        if self.open and isinstance(self.open[-1], Mapping) and self.keys[-1] is None:
            self.keys[-1] = node
            return
        if self.data and "${" in node.text:
            node.text = node.text.replace("${", "$${")
        self._put(node)

    def _put(self, node: Node) -> None:
        self.count += 1
        if self.count > self.most_nodes:
            raise too_many(node, self.most_nodes)
        if not self.open:
            self.root = node
            return
        holder = self.open[-1]
        if isinstance(holder, Sequence):
            holder.items.append(node)
            return
        key, self.keys[-1] = self.keys[-1], None
        if isinstance(holder, Mapping) and key is not None:
            if key.text in holder.items:
                first = holder.items[key.text][0].line + 1
                message = f"the key {shown(key.text)} stands on line {first} and again here"
                self.problems.add(key.problem("E026", message, "keep one of them"))
            else:
                holder.items[key.text] = (key, node)

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect(self.starts, at) - 1
        return self.first_line + line, at - self.starts[line]


def _unescaped(text: str) -> str:
    return str(json.loads(f'"{text}"')) if "\\" in text else text


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
