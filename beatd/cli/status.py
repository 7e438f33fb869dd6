"""`beatd status`: who leads, and is all well. Exit code 0 ok, 1 degraded, 2 no leader."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from beatd.cli.main import Common, common_options, output_option, print_json
from beatd.cli.show import distance, instant, lateness, printable, size, styled
from beatd.cli.stored import open_client
from beatd.core.census import STATES
from beatd.core.overview import OF_INSTANCE, OLD_COUNT_MS, Overview, judged

OTHERS: Final = {
    "newer": "later: they count as soon as it leads; give all instances the same files",
    "older": "earlier: what is stored goes on, also when it leads",
}
MOST_QUEUES: Final = 5
COLOURS: Final = {"degraded:": "red", "no leader:": "red", "warning:": "yellow"}
REFUSING: Final = "but leads and does not apply them: its log tells why (many entries less: SIGHUP or --allow-shrink)"


@click.command()
@common_options
@output_option
def status(common: Common, output: str) -> int:
    """Show the leader, its standbys, the entries by state, and whether all is well.

    \b
    0  ok
    1  degraded: a line says why
    2  no leader
    """
    from beatd.store.overview import read_overview

    with open_client(common) as client:
        overview = read_overview(client.link)
    found = judged(overview)
    if output == "json":
        print_json({key: value for key, value in found.items() if key != "code"})
    else:
        for head, text in lines(found, overview):
            line = printable(f"{head:14} {text}")
            click.echo(styled(line, fg=COLOURS[head]) if head in COLOURS else line)
    return int(found["code"])


def lines(found: Mapping[str, Any], o: Overview) -> Iterator[tuple[str, str]]:
    """What is told to people, a head and a text a line; what is wrong comes last, where it is seen."""
    yield "leader", _leader(found)
    for name in found["standbys"] or ("none",):
        yield "standby", name + _about(found["instances"].get(name))
    for name in found["silent"]:
        yield "silent", name + _about(found["instances"].get(name))
    yield "entries", _entries(found, o)
    late = found["lateness_ms"]
    if late["fires"]:
        few = f"the last {late['fires']:,} fires, since {late['since']}"
        yield "lateness", f"p50 {lateness(late['p50'])}, p99 {lateness(late['p99'])} ({few})"
    else:
        yield "lateness", "nothing was fired yet"
    yield "lag", "none" if not o.lag_ms else f"the oldest entry that is due waits for {lateness(o.lag_ms)}"
    if o.outbox.messages:
        yield "outbox", _outbox(o)
    for each in found["refusals"]:
        yield "last refusal", f"{each['at'] or '-'} {_refused(each)}"
    for line in about_files(found["files"], found["leader"]):
        yield "files", line
    for text in found["warnings"]:
        yield "warning:", text
    for number, text in enumerate(found["degraded"]):
        yield ("no leader:" if found["leader"] is None and not number else "degraded:"), text


def _outbox(o: Overview) -> str:
    """`12 messages (34 kB) wait for the broker, the oldest of 2026-11-20T10:00:00Z: celery 10, mail 2`."""
    box = o.outbox
    oldest = "" if box.oldest is None else f", the oldest of {instant(box.oldest)}"
    queues = [f"{queue} {count:,}" for queue, count in box.queues.items()]
    more = "" if len(queues) <= MOST_QUEUES else f" and {len(queues) - MOST_QUEUES} more queues"
    what = "message waits" if box.messages == 1 else "messages wait"
    named = ", ".join(queues[:MOST_QUEUES])
    return f"{box.messages:,} {what} ({size(box.size)}) for the broker{oldest}: {named}{more}"


def _refused(each: Mapping[str, Any]) -> str:
    """What an instance was told, or why an entry was not fired."""
    if each["reason"] == OF_INSTANCE:
        return f"instance {each['name']}: {each['why']}"
    return f"{each['name']}: {each['reason']}, {each['why']}"


def about_files(files: Mapping[str, Any], leader: str | None = None) -> Iterator[str]:
    """A line on what is stored, and one on each instance of which more is to be said."""
    yield (
        f"applied by {files['by']}, registered last at {files['registered']}"
        if files["applied"]
        else "none are applied in full"
    )
    for name, each in files["instances"].items():
        if each["stands"] in OTHERS:
            what = REFUSING if name == leader and each["stands"] == "newer" else OTHERS[each["stands"]]
            yield f"{name} has others, registered {each['registered']}, {what}"
        if not each["config_ok"]:
            yield f"{name} can't use its files as they are now and goes on with the last good ones: beatd check"


def _leader(found: Mapping[str, Any]) -> str:
    if found["leader"] is None:
        return "none"
    lease = f", epoch {found['epoch']}, lease for {found['lease_left_ms'] / 1000:.1f} s"
    return f"{found['leader']}{lease}{_about(found['instances'].get(found['leader']))}"


def _about(instance: Mapping[str, Any] | None) -> str:
    """`, beatd 0.1.0, zone data 2026b, seen 0.4 s ago, loop 2 ms late at most`; nothing of one that says nothing."""
    if instance is None:
        return ""
    lag = instance["loop_lag_ms"]
    parts = (
        instance["version"] and f"beatd {instance['version']}",
        instance["tzdata"] and f"zone data {instance['tzdata']}",
        f"seen {lateness(max(0, instance['seen_ms_ago']))} ago",
        lag is not None and f"loop at most {lateness(lag)} late",
    )
    return "".join(f", {part}" for part in parts if part)


def _entries(found: Mapping[str, Any], o: Overview) -> str:
    entries = found["entries"]
    states = [f"{entries[state]:,} {state}" for state in STATES if entries[state]]
    waiting = f", {o.unplanned:,} to be planned" if o.unplanned else ""
    age = o.now - o.counts.at
    counted = f" (counted {distance(-age)} by the leader)" if age > OLD_COUNT_MS else ""
    return f"{entries['total']:,}{': ' if states else ''}{', '.join(states)}{waiting}{counted}"
