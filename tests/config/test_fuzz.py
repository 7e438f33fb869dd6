"""Whatever a file holds, there are problems with places, or entries; never another error, never a hang."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beatd.config.codes import CODES
from beatd.config.keys import ENTRY, OPTIONS, TOP
from beatd.config.load import load_files
from beatd.config.problems import Problem, report
from beatd.config.settings import decide
from tests.support.examples import examples

HERE = Path(__file__).parent
FRAGMENTS = [
    *(
        "schedules:",
        "\n  a:",
        "\n    ",
        "task: t",
        "every: 5s",
        "cron: */5 * * * *",
        'cron: "0 9 * * *"',
        "{",
        "}",
        "[",
        "]",
    ),
    *(
        ", ",
        ": ",
        "- ",
        "*",
        "&a ",
        "*a",
        "<<: *a",
        "\t",
        "'",
        '"',
        "|\n",
        ">\n",
        "#",
        "!!str ",
        "!x ",
        "%",
        "@",
        "`",
        "---\n",
    ),
    *(
        "...\n",
        "${A}",
        "${",
        "$${",
        "{{x}}",
        "\\",
        "\u2028",
        "\x85",
        "\r\n",
        "\n",
        "~",
        "on",
        "010",
        "1_0",
        "12:30",
        "é",
        "💥",
    ),
    *("defaults: {", "include: [", "options: {", "? ", "%YAML 1.1\n---\n", "x-a: &a {", "\ufeff"),
]
NAMES = [key.name for key in (*TOP, *ENTRY, *OPTIONS)]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["5s", "0 9 * * *", "2099-01-01T00:00", "UTC", "t", "and", "${A}", "${A:-5}", "${A:?x}", "12:30", "yes"]
    ),
)
KEYS = st.one_of(st.sampled_from(NAMES), st.text(max_size=5))
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
ENTRY_TREES = st.dictionaries(st.sampled_from([key.name for key in ENTRY]), TREES, max_size=6)
DOCUMENTS = st.fixed_dictionaries(
    {"schedules": st.dictionaries(st.text(max_size=5), ENTRY_TREES, max_size=3)},
    optional={"defaults": ENTRY_TREES, **{key.name: TREES for key in TOP if key.name not in {"schedules", "defaults"}}},
)
Check = Callable[[bytes], list[Problem]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    path = tmp_path / "fuzz.yaml"

    def run(content: bytes) -> list[Problem]:
        path.write_bytes(content)
        loaded = load_files([path], {"A": "7"})
        _, more = decide(loaded, {}, {})
        problems = [*loaded.problems, *more]
        assert report(problems)
        lines = (
            content.count(b"\n")
            + content.count(b"\r")
            + content.count("\u2028".encode())
            + content.count(b"\xc2\x85")
            + 2
        )
        for problem in problems:
            assert problem.code in CODES
            assert problem.message
            assert problem.line is None or 1 <= problem.line <= lines
            assert problem.column is None or problem.column >= 1
        for file in loaded.files:
            for entry in file.entries:
                assert entry.to_definition()
        return problems

    return run


FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.binary(max_size=200))
def test_random_bytes(check: Check, content: bytes) -> None:
    check(content)


@FUZZ
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
def test_random_pieces_of_yaml(check: Check, text: str) -> None:
    check(text.encode(errors="surrogatepass"))


@settings(FUZZ, max_examples=examples(40))
@given(DOCUMENTS)
def test_random_documents(check: Check, document: dict[str, Any]) -> None:
    check(yaml.safe_dump(document, allow_unicode=True).encode(errors="replace"))


@FUZZ
@given(st.data())
def test_a_good_file_with_a_piece_replaced(check: Check, data: st.DataObject) -> None:
    text = (HERE / "good.yaml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 10)))
    check((text[:start] + data.draw(st.sampled_from(FRAGMENTS)) + text[end:]).encode())


def test_the_good_file_is_good(check: Check) -> None:
    assert check((HERE / "good.yaml").read_bytes()) == []
