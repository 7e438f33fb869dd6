"""JSON into the same tree of marked values as YAML: who reads it knows the place of everything.

Python's own reader decides whether a text is JSON, and says where not; it tells no places of what is sound.
"""

import json
import re
from typing import Any, Final

from beatd.config.nodes import Mapping, Node, Scalar, Sequence
from beatd.config.problems import Problems
from beatd.config.source import NEWLINE, Source
from beatd.config.yaml_tree import DEEPEST, Refused, too_many
from beatd.core.shown import shown

# Commas and colons tell nothing more of a text that is JSON.
_TOKEN: Final = re.compile(r"""[\s,:]*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([{}\[\]])|([^\s,:{}\[\]"]+))""")
_STRING, _PLAIN = 1, 3
_BEYOND: Final = frozenset({"NaN", "Infinity", "-Infinity"})  # what Python reads beyond JSON


def read_json(source: Source, text: str, first_line: int = 0) -> Any:
    """The values of a text, numbers as floats. Raises Refused at the place where it is no JSON."""
    hint = None
    try:
        return json.loads(text, parse_int=float)
    except json.JSONDecodeError as error:
        line, column = first_line + error.lineno - 1, error.colno - 1
        if error.msg == "Extra data":
            hint = "a file has one value; entries one a line are read from a file that ends in .ndjson"
        problem = source.problem(line, column, "E012", f"not JSON: {_lowered(error.msg)}", hint)
    except RecursionError:
        problem = source.problem(first_line, 0, "E010", f"more than {DEEPEST} levels deep")
    raise Refused(problem)


def json_tree(
    source: Source, text: str, problems: Problems, *, most_nodes: int, data: bool, first_line: int = 0
) -> Node:
    """The tree of a text that ``read_json`` has read, which begins at ``first_line`` of its source.

    data: ``${`` in its texts is no variable. Raises Refused.
    """
    return _Builder(source, problems, most_nodes, data).build(text, first_line)


class _Builder:
    """A state machine over tokens: the open collections are its stack."""

    def __init__(self, source: Source, problems: Problems, most_nodes: int, data: bool) -> None:
        self.source = source
        self.problems = problems
        self.most_nodes = most_nodes
        self.data = data
        self.open: list[Sequence | Mapping | None] = []  # around the innermost
        self.holder: Sequence | Mapping | None = None
        self.key: Scalar | None = None  # whose value is awaited
        self.keys: dict[str, str] = {}  # one text for all entries
        self.root: Node | None = None
        self.count = 0

    def build(self, text: str, line: int) -> Node:
        """Long, as every token of a large file passes here."""
        begins, ends = 0, [found.end() for found in NEWLINE.finditer(text)]
        ends.reverse()
        for token in _TOKEN.finditer(text):
            kind = token.lastindex or 0
            found, at = token[kind], token.start(kind)
            while ends and ends[-1] <= at:
                begins, line = ends.pop(), line + 1
            if kind == _STRING:
                self._string(line, at - begins - 1, found)
            elif kind == _PLAIN:
                node = Scalar(self.source, line, at - begins, found, True)
                if found in _BEYOND:
                    raise Refused(node.problem("E012", f"not JSON: found {found}"))
                self._put(node)
            elif found in "]}":
                self.holder = self.open.pop()
            else:
                self._begin((Sequence if found == "[" else Mapping)(self.source, line, at - begins))
        if self.root is None:
            raise ValueError("no JSON")
        return self.root

    def _string(self, line: int, column: int, text: str) -> None:
        if "\\" in text:
            text = str(json.loads(f'"{text}"'))
        if self.key is None and type(self.holder) is Mapping:
            self.key = Scalar(self.source, line, column, self.keys.setdefault(text, text), False)
            return
        if self.data and "${" in text:
            text = text.replace("${", "$${")
        self._put(Scalar(self.source, line, column, text, False))

    def _begin(self, node: Sequence | Mapping) -> None:
        self._put(node)
        if len(self.open) >= DEEPEST:
            raise Refused(node.problem("E010", f"more than {DEEPEST} levels deep"))
        self.open.append(self.holder)
        self.holder = node

    def _put(self, node: Node) -> None:
        self.count += 1
        if self.count > self.most_nodes:
            raise too_many(node, self.most_nodes)
        holder = self.holder
        if holder is None:
            self.root = node
        elif isinstance(holder, Sequence):
            holder.items.append(node)
        elif self.key is not None:
            key, self.key = self.key, None
            if key.text in holder.items:
                first = holder.items[key.text][0].line + 1
                message = f"the key {shown(key.text)} stands on line {first} and again here"
                self.problems.add(key.problem("E026", message, "keep one of them"))
            else:
                holder.items[key.text] = (key, node)


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
