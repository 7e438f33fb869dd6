"""`beatd status`: who leads, and is all well. Exit code 0 ok, 1 degraded, 2 no leader."""

from collections.abc import Iterator
from typing import Any, Final, TypeVar

import click

from beatd.cli.main import Common, common_options, output_option, print_json, redis_url
from beatd.cli.show import instant
from beatd.core.registration import Applied, is_alive
from beatd.store.client import Client

LATE_MS: Final = 60_000
OTHERS: Final = {
    "newer": "later: they count as soon as it leads; give all instances the same files",
    "older": "earlier: what is stored goes on, also when it leads",
}
REFUSING: Final = "but leads and does not apply them: its log tells why (many entries less: SIGHUP or --allow-shrink)"
_T = TypeVar("_T")


@click.command()
@common_options
@output_option
def status(common: Common, output: str) -> int:
    """Show the leader, its standbys, and the entries by state."""
    settings = common.settings(entries=False)
    with Client(redis_url(settings), settings.namespace) as client:
        found = judged(client.status())
    if output == "json":
        print_json({key: value for key, value in found.items() if key != "code"})
    else:
        for key in ("leader", "epoch", "lease_left_ms", "standbys", "entries", "lag_ms"):
            click.echo(f"{key:14} {_text(found[key])}")
        if found["silent"]:
            click.echo(f"{'silent':14} {_text(found['silent'])}: not heard of for longer than a lease's time to live")
        for line in about_files(found["files"], found["leader"]):
            click.echo(f"{'files':14} {line}")
        if len(set(found["tzdata"].values())) > 1:
            click.echo(f"{'tzdata':14} differs: {_text(found['tzdata'])}")
    return int(found["code"])


def judged(raw: dict[str, Any]) -> dict[str, Any]:
    """What the store says, summed up; ``code`` is the exit code."""
    lease, now = raw["lease"], raw["now"]
    left = _number(lease.get("until"), 0) - now
    leads = bool(lease.get("owner")) and left > 0
    leader = lease.get("host") if leads else None
    ttl = _number(lease.get("ttl"), 6_000)
    alive = {name: record for name, record in raw["instances"].items() if is_alive(record, now, ttl)}
    silent = sorted(name for name, record in alive.items() if _number(record.get("seen"), 0) < now - ttl)
    files = _files(raw["applied"], alive)
    oldest = raw["oldest_due"]
    lag = max(0, now - oldest) if oldest is not None else 0
    return {
        "leader": leader,
        "epoch": _number(lease.get("epoch"), None),
        "lease_left_ms": max(0, left) if leads else 0,
        "standbys": sorted(name for name in alive if name != leader and name not in silent),
        "silent": silent,
        "entries": raw["entries"],
        "lag_ms": lag,
        "files": files,
        "tzdata": {name: record["tzdata"] for name, record in sorted(alive.items()) if "tzdata" in record},
        "code": 2 if not leads else 1 if lag > LATE_MS or not files["agree"] else 0,
    }


def _files(applied: Applied, alive: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Whose files are stored, and which instances have others; agreed is who has these, or none at all."""
    instances = {
        name: {
            "file": record.get("file"),
            "registered": instant(_number(record.get("registered"), None)),
            "config_ok": record.get("config_ok") is not False,
            "stands": _standing(record, applied),
        }
        for name, record in sorted(alive.items())
    }
    return {
        "agree": all(each["stands"] in ("stored", "none") and each["config_ok"] for each in instances.values()),
        "applied": applied.hash or None,
        "by": applied.by or None,
        "registered": instant(applied.at) if applied.at else None,
        "instances": instances,
    }


def _standing(record: dict[str, Any], applied: Applied) -> str:
    """What an instance's files are to the stored ones: stored, newer, older; none without files."""
    if record.get("file") in (None, applied.hash):
        return "none" if record.get("file") is None else "stored"
    return "newer" if _number(record.get("registered"), 0) > applied.at else "older"


def about_files(files: dict[str, Any], leader: str | None = None) -> Iterator[str]:
    """A line on what is stored, and one on each instance of which more is to be said."""
    yield f"of {files['by']}, registered {files['registered']}" if files["applied"] else "none are applied in full"
    for name, each in files["instances"].items():
        if each["stands"] in OTHERS:
            what = REFUSING if name == leader and each["stands"] == "newer" else OTHERS[each["stands"]]
            yield f"{name} has others, registered {each['registered']}, {what}"
        if not each["config_ok"]:
            yield f"{name} can't use its files as they are now and goes on with the last good ones: beatd check"


def _number(value: Any, otherwise: _T) -> int | _T:
    """A stored number, or what stands for one that is missing or that another client has spoilt."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return "none" if value is None else str(value)
