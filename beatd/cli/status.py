"""`beatd status`: who leads, and is all well. Exit code 0 ok, 1 degraded, 2 no leader."""

from typing import Any, Final

import click

from beatd.cli.main import Common, common_options, output_option, print_json, redis_url
from beatd.store.client import Client

LATE_MS: Final = 60_000


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
    left = int(lease.get("until") or 0) - now
    leads = bool(lease.get("owner")) and left > 0
    leader = lease.get("host") if leads else None
    ttl = int(lease.get("ttl") or 6_000)
    alive = [name for name, record in raw["instances"].items() if now - int(record.get("seen") or 0) < 3 * ttl]
    oldest = raw["oldest_due"]
    lag = max(0, now - oldest) if oldest is not None else 0
    return {
        "leader": leader,
        "epoch": int(lease["epoch"]) if "epoch" in lease else None,
        "lease_left_ms": max(0, left) if leads else 0,
        "standbys": sorted(name for name in alive if name != leader),
        "entries": raw["entries"],
        "lag_ms": lag,
        "code": 2 if not leads else 1 if lag > LATE_MS else 0,
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return "none" if value is None else str(value)
