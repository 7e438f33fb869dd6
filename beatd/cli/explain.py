"""`beatd explain`: a schedule taken apart."""

from typing import Any

import click

from beatd.cli.main import Common, common_options, output_option, print_json
from beatd.cli.next import instant_of, now_ms
from beatd.cli.schedule_options import Asked, find_schedule, schedule_options
from beatd.cli.show import note, styled, table
from beatd.cli.slots import slot_row, slot_table
from beatd.core.explain import Judged, ShiftNote, coming_shifts, how_often, judged_readings, often_words
from beatd.core.instant import instant_text
from beatd.core.preview import clock_text, coming_slots, why_none
from beatd.core.schedules.explanation import Detail

MOST_VALUES = 8


@click.command()
@click.argument("words", nargs=-1, metavar="[SCHEDULE|NAME]")
@common_options
@schedule_options
@click.option("-n", "count", type=click.IntRange(0, 1_000), default=3, show_default=True, help="Show so many slots.")
@click.option("--from", "since", metavar="INSTANT", help="Look from this instant on [now].")
@output_option
def explain(
    common: Common, words: tuple[str, ...], schedule: dict[str, Any], count: int, since: str | None, output: str
) -> None:
    """Explain a schedule: field by field, how often it runs, what shifts of the clock do to it.

    \b
    beatd explain "0 9 1,15 * mon"
    beatd explain "H 2 * * *" --hash-id nightly --tz Europe/Paris
    beatd explain --rrule "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18"

    Takes an entry's name too, and the same options as `beatd next`.
    """
    asked = find_schedule(words, schedule, common)
    after = now_ms() if since is None else instant_of("--from", since, asked.schedule)
    if output == "json":
        print_json(_as_json(asked, after, count))
    else:
        _print(asked, after, count, later=since is not None)
        for text in asked.notes():
            note(text)


def _as_json(asked: Asked, after: int, count: int) -> dict[str, Any]:
    schedule = asked.schedule
    explained, often = schedule.rule.explain(), how_often(schedule, after)
    return {
        "schedule": schedule.to_spec(),
        "kind": schedule.kind,
        "words": schedule.words(),
        "zone": schedule.timezone,
        "anchor_assumed": schedule.anchor_assumed,
        "fields": [
            {"name": d.name, "text": d.text, "values": list(d.values), "meaning": d.meaning, "notes": list(d.notes)}
            for d in explained.details
        ],
        "readings": [_reading(judged) for judged in judged_readings(schedule, asked.name, after)],
        "clock": explained.clock,
        "shifts": [_shift(shift_note) for shift_note in coming_shifts(schedule, after, 2)],
        "often": {
            "from": often.first.isoformat(),
            "days": often.days,
            "runs": often.runs,
            "active_days": often.active_days,
            "a_day": {"least": often.least, "usual": often.usual, "most": often.most},
        },
        "warnings": list(schedule.warnings),
        "next": [slot_row(schedule, slot, after) for slot in coming_slots(schedule, after, None, count)],
    }


def _reading(judged: Judged) -> dict[str, Any]:
    reading = judged.reading
    return {
        "day": reading.name,
        "chosen": reading.chosen,
        "spec": dict(reading.spec),
        "words": judged.words,
        "runs": judged.runs,
        "reason": reading.reason or None,
    }


def _shift(found: ShiftNote) -> dict[str, Any]:
    shift = found.shift
    return {
        "at": instant_text(shift.instant * 1_000),
        "from": clock_text(shift.before),
        "to": clock_text(shift.after),
        "effect": found.effect,
    }


def _print(asked: Asked, after: int, count: int, *, later: bool) -> None:
    schedule = asked.schedule
    explained = schedule.rule.explain()
    slots = list(coming_slots(schedule, after, None, count))
    slot_lines = slot_table(schedule, slots, after, later=later)
    click.echo(styled(f"{schedule.words()}, {schedule.timezone}", bold=True) + "\n")
    if explained.details:
        rows = [(d.name, d.text, _values(d), d.meaning) for d in explained.details]
        used = [i for i in range(4) if any(row[i] for row in rows)]
        click.echo(table([_HEADS[i] for i in used], [[row[i] or "-" for i in used] for row in rows]) + "\n")
    spec = ", ".join(f"{key}: {_plain(value)}" for key, value in schedule.to_spec().items())
    _say("schedule", [spec])
    _say("days", [_reading_text(judged) for judged in judged_readings(schedule, asked.name, after)])
    _say("often", [often_words(how_often(schedule, after))])
    shifts = [_shift_text(found) for found in coming_shifts(schedule, after, 2)]
    _say("clock", [explained.clock, *(shifts or [f"{schedule.timezone}: no shift of the clock is ahead"])])
    _say("note", list(schedule.warnings))
    if slots:
        click.echo(f"\n{slot_lines}")
    elif count:
        _say("next", [f"no slot: {why_none(schedule, after, None)}"])


_HEADS = ("FIELD", "TEXT", "VALUES", "MEANING")


def _say(head: str, lines: list[str]) -> None:
    for number, line in enumerate(line for line in lines if line):
        click.echo(f"{head if not number else '':<10}{line}")


def _plain(value: object) -> str:
    """A value of a spec as YAML takes it."""
    if not isinstance(value, str):
        return str(value).lower()
    return f"'{value}'" if not value[:1].isalnum() or " " in value else value


def _values(detail: Detail) -> str:
    """``0-4,22,23``: at most eight pieces."""
    pieces: list[list[int]] = []
    for value in detail.values:
        if pieces and pieces[-1][-1] + 1 == value:
            pieces[-1].append(value)
        else:
            pieces.append([value])
    texts = [text for piece in pieces for text in _piece(piece)]
    return ",".join(texts if len(texts) <= MOST_VALUES else [*texts[:3], "...", texts[-1]])


def _piece(values: list[int]) -> list[str]:
    return [f"{values[0]}-{values[-1]}"] if len(values) > 2 else [str(value) for value in values]


def _reading_text(judged: Judged) -> str:
    reading = judged.reading
    spec = ", ".join(f"{key}: {_plain(value)}" for key, value in reading.spec.items())
    what = f"{judged.words} ({judged.runs:,} a year)" if judged.words else "no date has both"
    return f"{reading.reason}: {what}" if reading.chosen else f"with {spec}: {what}"


def _shift_text(found: ShiftNote) -> str:
    before, after = clock_text(found.shift.before), clock_text(found.shift.after)
    if before[:14] == after[:14]:
        after = after[15:]
    return f"{before} becomes {after}: {found.effect or 'touches no run'}"
