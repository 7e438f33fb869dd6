"""Patterns of task names: what they match, and that none of them takes for ever."""

import time

import pytest

from beatd.core.task_pattern import is_exact, task_pattern
from beatd.errors import EntryInvalid


@pytest.mark.parametrize(
    "pattern, name, matches",
    [
        ("app.a", "app.a", True),
        ("app.a", "app.ab", False),
        ("app.a", "appxa", False),
        ("app.*", "app.video.cut", True),
        ("app.*", "other.app.x", False),
        ("*.cut", "app.video.cut", True),
        ("app.?", "app.x", True),
        ("app.?", "app.xy", False),
        ("app.[ab]", "app.b", True),
        ("app.[!ab]", "app.b", False),
        ("APP.*", "app.x", False),
        (r"re:app\.(video|image)\.", "app.image.crop", True),  # as celery: from the beginning, and not to the end
        (r"re:app\.(video|image)$", "app.image.crop", False),
        (r"re:video", "app.video", False),
        (r"re:.*\.video", "app.video", True),
        (r"re:(?i)APP", "app.x", True),
        (r"re:(?P<what>app|lib)\.(?!old)\w+", "lib.new", True),
        (r"re:[^]*+]+\.x", "app.x", True),
        ("*", "x" * 256, False),
    ],
)
def test_a_pattern_matches_names(pattern: str, name: str, matches: bool) -> None:
    assert task_pattern(pattern)(name) is matches


def test_only_a_name_is_exact() -> None:
    assert [is_exact(pattern) for pattern in ("app.a", "app.*", "a?", "a[b]", "re:a")] == [True, *[False] * 4]


@pytest.mark.parametrize(
    "pattern, told",
    [
        ("re:(", r"'\(' is no regular expression: missing \)"),
        ("re:[", "is no regular expression: unterminated character set"),
        (r"re:(a+)+$", "which may take for ever"),
        (r"re:(a|aa)*$", "which may take for ever"),
        (r"re:((?:x?a{0,200})y)*", "which may take for ever"),
        (r"re:(a*){60}b", "which may take for ever"),
        (r"re:(?P<n>.*,)+$", "which may take for ever"),
        (r"re:.*.*.*.*.*x", "has 5 repeats without an end; at most 4"),
        ("*" * 9, "has more than 8 times"),
        ("x" * 256, "a pattern of 256 characters; at most 255"),
    ],
)
def test_what_is_none_or_may_take_for_ever_is_refused(pattern: str, told: str) -> None:
    with pytest.raises(EntryInvalid, match=told):
        task_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"re:.*a.*a.*a.*b$", "*a*a*a*a*a*a*a*b", r"re:(a{0,49}){3}b"])
def test_what_is_accepted_ends_soon(pattern: str) -> None:
    matches, begun = task_pattern(pattern), time.process_time()
    assert not matches("a" * 255)
    assert time.process_time() - begun < 5
