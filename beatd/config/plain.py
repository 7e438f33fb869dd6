"""Nodes into plain values: variables filled in, scalars typed."""

from collections.abc import Mapping as Env
from typing import Any, Final

from beatd.config.nodes import Mapping, Node, Scalar, Sequence
from beatd.config.problems import Problems
from beatd.config.scalars import MOST_DIGITS, read_scalar, trap_of
from beatd.config.substitute import Unset, substitute


class Broken(Exception):  # a control flow, not an error: the problem was told where it was found
    """The value can't be used, and the problems say why."""


# What stands for a value that only an empty variable gave: as if the key were not there.
NOT_GIVEN: Final = object()


class Plain:
    """Reads values with one environment, telling one list of problems."""

    def __init__(self, env: Env[str, str], problems: Problems) -> None:
        self.env = env
        self.problems = problems

    def value(self, node: Node, *, text: bool = False) -> Any:
        """The value of a key; ``text``: a variable's content stays a text. NOT_GIVEN for an empty variable.

        Raises Broken.
        """
        if isinstance(node, Scalar):
            return self._scalar(node, text)
        return self.tree(node)

    def tree(self, node: Node) -> Any:
        """The value of free data, at any depth; spellings that YAML 1.1 reads otherwise are told. Raises Broken."""
        if isinstance(node, Mapping):
            return {key: self.tree(value) for key, (_, value) in node.items.items() if self._written(key, value)}
        if isinstance(node, Sequence):
            return [self.tree(item) for item in node.items if self._written("-", item)]
        if not isinstance(node, Scalar):
            raise Broken
        if node.plain:
            trap = trap_of(node.text)
            if trap:
                self.problems.add(node.problem(*trap))
        value = self._scalar(node, False)
        return None if value is NOT_GIVEN else value

    def _scalar(self, node: Scalar, text: bool) -> Any:
        if "${" not in node.text:
            if node.plain and len(node.text) > MOST_DIGITS and node.text.isdigit():
                self.problems.add(node.problem("E053", f"a number of {len(node.text)} digits", "quote it"))
                raise Broken
            return read_scalar(node.text) if node.plain else node.text
        try:
            filled, whole = substitute(node.text, self.env)
        except Unset as unset:
            self.problems.add(node.problem(unset.code, unset.message, unset.hint))
            raise Broken from unset
        if whole and not filled:
            return NOT_GIVEN
        return read_scalar(filled) if whole and not text else filled

    def _written(self, key: str, node: Node) -> bool:
        """Tells a key without any value: nothing, forgotten or meant?"""
        if isinstance(node, Scalar) and node.missing:
            self.problems.add(node.problem("E028", f"{key} has no value", "write null if nothing is meant"))
            raise Broken
        return True
