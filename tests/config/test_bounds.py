"""Hostile files cost no more than large ones, and are told what bound they passed."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from beatd.config.load import load_files
from beatd.config.problems import problem_at
from beatd.config.source import LARGEST_FILE
from beatd.config.yaml_tree import DEEPEST

MB = 1_000_000
SECONDS = 4.0  # of CPU; about one on a free machine


def bomb(levels: int) -> str:
    """Each level holds the one before nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def merged(levels: int) -> str:
    """As ``bomb``, with merges."""
    lines = ["x-0: &a0 {k: [1, 1, 1, 1, 1, 1, 1, 1, 1]}"]
    lines += [
        f"x-{n}: &a{n} {{" + ", ".join(f"k{m}: {{<<: *a{n - 1}}}" for m in range(9)) + "}" for n in range(1, levels)
    ]
    return "\n".join(lines) + "\n"


HOSTILE: dict[str, tuple[Callable[[], str], str]] = {
    "aliases of aliases": (lambda: bomb(12), "E009"),
    "an entry of aliases": (lambda: bomb(12) + "schedules: {a: {task: t, every: 5s, args: *a11}}", "E009"),
    "merges of merges": (lambda: merged(12), "E009"),
    "10 MB of aliases": (lambda: "x-a: &a y\nx-b: [" + "*a," * (10 * MB // 3) + "]", "E009"),
    "10 MB of anchors": (lambda: "".join(f"x-{n}: &a{n} 1\n" for n in range(MB // 2)), "E009"),
    "brackets": (lambda: "[" * 10 * MB, "E010"),
    "braces": (lambda: "{a: " * 2 * MB, "E010"),
    "dashes": (lambda: "- " * 5 * MB, "E010"),
    "deep indentation": (lambda: "\n".join(" " * n + "a:" for n in range(3_000)), "E010"),
    "10 MB of items": (lambda: "- a\n" * (10 * MB // 4), "E009"),
    "10 MB of text": (lambda: "schedules:\n  a: {task: t, every: 5s, description: " + "x" * 10 * MB + "}", "E052"),
    "10 MB of quoted text": (lambda: "schedules:\n  a: {task: '" + "x" * 10 * MB + "', every: 5s}", "E053"),
    "10 MB of digits": (lambda: "schedules:\n  a: {task: t, every: " + "9" * 10 * MB + "}", "E053"),
    "10 MB of blanks": (lambda: " " * 10 * MB, "E006"),
    "10 MB of comment": (lambda: "#" * 10 * MB, "E006"),
    "10 MB of documents": (lambda: "---\n" * (10 * MB // 4), "E008"),
    "10 MB of dollars": (lambda: "redis: '" + "${" * (5 * MB) + "'", "E041"),
    "10 MB of colons": (lambda: "a: " * (3 * MB), "E025"),
    "10 MB of open quotes": (lambda: "a: '\n" * (2 * MB), "E009"),
    "10 MB of tabs": (lambda: "a:\n" + "\t" * 10 * MB + "b: 1", "E030"),
    "a key many times": (lambda: "a: 1\n" * 240_000, "E026"),
    "more than may be": (lambda: "#" * (LARGEST_FILE + 1), "E002"),
}


SLOW = {"10 MB of anchors", "10 MB of open quotes", "10 MB of documents", "10 MB of colons", "a key many times"}
CASES = [pytest.param(name, marks=pytest.mark.nightly if name in SLOW else ()) for name in HOSTILE]


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_in_time(name: str, tmp_path: Path) -> None:
    make, code = HOSTILE[name]
    path = tmp_path / "hostile.yaml"
    path.write_text(make())
    before = time.process_time()
    loaded = load_files([path], {})
    spent = time.process_time() - before
    assert code in {problem.code for problem in loaded.problems}
    assert spent < SECONDS
    assert all(len(problem.text()) < 3_000 for problem in loaded.problems)


def test_the_deepest_value_is_read_and_a_deeper_one_is_not(tmp_path: Path) -> None:
    def codes(levels: int) -> list[str]:
        path = tmp_path / "deep.yaml"
        path.write_text("x-deep: " + "[" * levels + "]" * levels)
        return [problem.code for problem in load_files([path], {}).problems]

    assert (codes(DEEPEST - 1), codes(DEEPEST)) == ([], ["E010"])


@pytest.mark.parametrize("number", [2_000, pytest.param(20_000, marks=pytest.mark.nightly)])
def test_many_entries_are_read_with_little_memory_and_time(tmp_path: Path, number: int) -> None:
    path = tmp_path / "large.yaml"
    entry = (
        "  entry-{0}:\n    task: app.t{1}\n    cron: '{2} {3} * * *'\n    args: [{0}]\n    kwargs: {{dry_run: false}}\n"
    )
    entries = (entry.format(n, n % 50, n % 60, n // 60 % 24) for n in range(number))
    path.write_text("schedules:\n" + "".join(entries))
    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = load_files([path], {})
    assert len(loaded.files[0].entries) == number
    assert loaded.problems == []
    assert time.process_time() - before < number / 1_250  # 20,000 take 3 s on a free machine
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 30 * number  # kB


def test_thousands_of_problems_in_one_long_line_with_a_secret_take_no_time() -> None:
    line = "{" + "a: 1, " * 100_000 + "redis: redis://user:CANARY@host}"  # as of a file that a program has written
    before = time.process_time()
    found = [problem_at("f", 1, column, "E001", "m", None, line) for column in range(1, 4_000)]
    assert time.process_time() - before < 10
    assert not any("CANARY" in problem.excerpt for problem in found)
