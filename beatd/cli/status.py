"""`beatd status`: who leads, and is all well. Exit code 0 ok, 1 degraded, 2 no leader."""

from typing import Any, Final, TypeVar

import click

from beatd.cli.main import Common, common_options, output_option, print_json, redis_url
from beatd.store.client import Client

LATE_MS: Final = 60_000
_T = TypeVar("_T")


@click.command()
@common_options
@output_option
def status(common: Common, output: str) -> int:
    """Show the leader, its standbys, and the entries by state."""
    settings = common.settings(entries=False)
    with Client(redis_url(settings), settings.namespace) as client:
        found = _judged(client.status())
    if output == "json":
        print_json({key: value for key, value in found.items() if key != "code"})
    else:
        for key in ("leader", "epoch", "lease_left_ms", "standbys", "entries", "lag_ms"):
            click.echo(f"{key:14} {_text(found[key])}")
    return int(found["code"])


def _judged(raw: dict[str, Any]) -> dict[str, Any]:
    lease, now = raw["lease"], raw["now"]
    left = _number(lease.get("until"), 0) - now
    leads = bool(lease.get("owner")) and left > 0
    leader = lease.get("host") if leads else None
    ttl = _number(lease.get("ttl"), 6_000)
    alive = [name for name, record in raw["instances"].items() if now - _number(record.get("seen"), 0) < 3 * ttl]
    oldest = raw["oldest_due"]
    lag = max(0, now - oldest) if oldest is not None else 0
    return {
        "leader": leader,
        "epoch": _number(lease.get("epoch"), None),
        "lease_left_ms": max(0, left) if leads else 0,
        "standbys": sorted(name for name in alive if name != leader),
        "entries": raw["entries"],
        "lag_ms": lag,
        "code": 2 if not leads else 1 if lag > LATE_MS else 0,
    }


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
