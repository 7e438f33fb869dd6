"""What the timetable's memory of an entry says of its last run."""

import pytest

from beatd.core.last_run import LastRun, last_run

NEVER = LastRun()


@pytest.mark.parametrize(
    "text, found",
    [
        ("", NEVER),
        ("5000|5003|id|", LastRun(5_000, 5_003, "id", "fired")),
        ("5000|5003|id|coalesced:2:3000:4000", LastRun(5_000, 5_003, "id", "fired", "coalesced", 4_000)),
        ("5000|5003|id|missed:1:6000:6000", LastRun(5_000, 5_003, "id", "skipped", "missed", 6_000)),
        (
            "5000|5003|id|expired:1:6000:6000;missed:2:7000:8000",
            LastRun(5_000, 5_003, "id", "skipped", "missed", 8_000),
        ),
        ("0|0||missed:1:6000:6000", LastRun(None, None, None, "skipped", "missed", 6_000)),
        ("0|0||", NEVER),
        # what another client may have written
        ("x|y|z|w", LastRun(task_id="z")),
        ("|", NEVER),
        ("5000", LastRun(5_000, None, None, "fired")),
        ("5000|5003|id|missed", LastRun(5_000, 5_003, "id", "fired")),
        ("5000|5003|id|missed:1:a:b", LastRun(5_000, 5_003, "id", "fired")),
        ("1234567890123456|1|id|", LastRun(task_id="id")),
        ("\u0665|1|id|", LastRun(task_id="id")),
    ],
)
def test_fires_and_skips_are_told_apart(text: str, found: LastRun) -> None:
    assert last_run(text) == found
