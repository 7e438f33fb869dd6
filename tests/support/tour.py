"""`python -m tests.support.tour`: a new user's first half hour, typed into a real terminal, as docs/tour.md.

A command more is a line more in TOUR. tests/process/test_tour.py types all of it again, and compares what is shown with
the page, but for times and numbers.
"""

import difflib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.daemon import ROOT
from tests.support.stage import Chapter, Completed, Daemon, Left, Saved, Typed, Waited, stage

PAGE: Final = ROOT / "docs" / "tour.md"
HEAD: Final = """# A tour

What a new user types in the first half hour, and what is shown: captures of a real terminal of 120 columns, made by
`python -m tests.support.tour` and compared with the program by a test. The machine is `web-1`, the user is `ann`, and
it is the morning of a Monday in November.
"""
SCHEDULES: Final = """timezone: Europe/Paris
schedules:
  heartbeat:
    task: app.heartbeat
    every: 2s
  send-digest:
    task: app.send_digest
    cron: "0 9 * * mon-fri"
    description: Morning mail
    tags: [mail]
"""

TEAM: Final = """\
defaults: {queue: billing}
schedules:
  send-invoices: {task: app.send_invoices, cron: "0 7 1 * *"}
  remind-late-payers: {task: app.remind, cron: "0 8 * * mon"}
"""
TEAM_LATER: Final = """\
defaults: {queue: billing}
schedules:
  send-invoices: {task: app.send_invoices, cron: "30 6 1 * *", grace: 1h}
"""

TOUR: Final = (
    Chapter(
        "Before anything runs",
        "A mistake in the file is told with its place and with what to write instead.",
        [
            Saved("schedules.yaml", SCHEDULES.replace("mon-fri", "mon-fry")),
            "beatd check schedules.yaml",
            Saved("schedules.yaml", SCHEDULES),
            "beatd check schedules.yaml",
            'beatd next "0 9 * * mon-fri" --tz Europe/Paris -n 3',
            'beatd explain "30 2 1 * mon" --tz Europe/Paris',
        ],
    ),
    Chapter(
        "The daemon",
        "In a first terminal. No Redis is configured, so it starts a private one beside the file.",
        [Daemon("beatd run -c schedules.yaml", until="entry_fired")],
    ),
    Chapter(
        "Looking",
        "In a second terminal, in the same folder.",
        [
            Waited("entry_fired"),
            "beatd ls",
            "beatd ls -o wide",
            "beatd ls --tag mail -o yaml",
            Typed("beatd ls --watch --interval 1s", until="send-digest", times=2),
            "beatd show send-digest",
            "beatd show send-digest --message -o json",
            "beatd status",
            "beatd next send-digest -n 2",
            Completed('eval "$(beatd completion bash)"', "beatd pause send", until="send-digest"),
        ],
    ),
    Chapter(
        "An entry that is in no file",
        "`set` shows the next three slots, and asks.",
        [
            Typed('beatd set cleanup --task app.cleanup --cron "*/10 * * * *" --queue slow', answer="y"),
            'beatd set cleanup --grace 5m --note "the disk is slow at night" --yes',
            "beatd set cleanup --cron '*/10 * * * mon-fry'",
            "beatd set heartbeat --every 5s",
            "beatd sett cleanup",
        ],
    ),
    Chapter(
        "Pausing",
        "Works on every entry, whoever owns it; nothing of it is sent once the command has returned.",
        [
            'beatd pause send-digest --note "the mail server moves"',
            "beatd pause cleanup --until 2h",
            Waited("entry_fired"),
            "beatd ls",
            "beatd ls --state paused",
            "beatd resume send-digest cleanup",
        ],
    ),
    Chapter(
        "Now, and once more",
        "Beside the schedule: the next run stays where it is.",
        [
            'beatd trigger send-digest --note "asked for by Bob"',
            "beatd backfill cleanup --from 2026-11-30T07:20 --to 2026-11-30T07:40 --dry-run",
            Typed("beatd backfill cleanup --from 2026-11-30T07:20 --to 2026-11-30T07:40", answer="y"),
            "beatd backfill cleanup --from 2026-11-30T07:20 --to 2026-11-30T07:40",
            "beatd backfill cleanup --from 2020-01-01T00:00 --yes",
            "beatd history cleanup",
        ],
    ),
    Chapter(
        "Whole files of entries",
        "From a laptop or a pipeline, under a label of one's own; the daemon's file stays what it is.",
        [
            Saved("team.yaml", TEAM),
            "beatd diff team.yaml --owner team",
            "beatd apply team.yaml --owner team",
            Saved("team.yaml", TEAM_LATER),
            Typed("beatd apply team.yaml --owner team --prune", answer="y"),
            "beatd export --owner apply:team",
            "beatd set send-invoices --every 1h",
        ],
    ),
    Chapter(
        "What happened",
        "Fires and skips, with the reason of each; and who changed what.",
        ["beatd history heartbeat -n 3", "beatd history nobody", "beatd history --changes cleanup", "beatd doctor"],
    ),
    Chapter(
        "The end",
        "Ctrl-C in the first terminal hands the lease over, if there is a standby, and ends the private server.",
        [Typed("beatd rm cleanup", answer="y"), Left(), "beatd status"],
    ),
)


def page(base: Path) -> str:
    """The page, from a tour in that folder."""
    with stage(base) as given:
        parts = [HEAD]
        for chapter in TOUR:
            blocks = [given.show(step) for step in chapter.steps]
            parts += [f"\n## {chapter.title}\n\n{chapter.words}\n", *(f"\n{block}\n" for block in blocks if block)]
    return "".join(parts)


def shape(text: str) -> list[str]:
    """What stays the same from one tour to the next: lines without times, numbers, ids and the width of columns."""
    return [line for raw in text.splitlines() if (line := _shape(raw))]


_SHAPES: Final = (
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{8,}\b", "ID"),
    (r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:?\d\d)?", "AT"),
    (r"[+-]?\b\d[\d.,]* ?(?:ms|s|min|m|h|d|kB|MB|GB)\b(?: \d[\d.]* ?(?:ms|s|min|m|h|d)\b)*", "N"),
    (r"[+-]?\d[\d.,]*", "N"),
    (r"(?i)\b(?:redis|valkey) N", "Redis N"),
    (r"\S+(?: \S+)*…", "CUT"),
    (r"[ -]{2,}", " "),
)


def _shape(line: str) -> str:
    for found, shown in _SHAPES:
        line = re.sub(found, shown, line)
    return line.strip()


def differences(told: str, found: str) -> Iterator[str]:
    """Where two pages show something else."""
    return difflib.unified_diff(shape(told), shape(found), "docs/tour.md", "this tour", n=1, lineterm="")


def main() -> None:
    with tempfile.TemporaryDirectory() as base:
        PAGE.write_text(page(Path(base)))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
