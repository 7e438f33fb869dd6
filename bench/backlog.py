"""A month in which nothing ran: how long a leader takes to settle it.

The timetable is set back by thirty days while no daemon runs, then one starts. 100 entries of each kind.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

from beatd.client.blocking import Client
from bench.daemon import KEYS, cpu_seconds_of, put, running_daemon, wait_for, wait_planned, worst_lag_ms
from bench.server import running_server

ENTRIES: Final = 100
MONTH_MS: Final = 30 * 86_400_000
CASES: Final[dict[str, dict[str, Any]]] = {
    "every second, latest": {"every": "1s", "catchup": "latest"},
    "every second, all (100)": {"every": "1s", "catchup": "all", "catchup_limit": 100},
    "every second, none": {"every": "1s", "catchup": "none"},
    "cron each minute, latest": {"cron": "* * * * *", "catchup": "latest"},
    "cron each minute, all (100)": {"cron": "* * * * *", "catchup": "all", "catchup_limit": 100},
    "cron each second, all (100)": {"cron": "* * * * * *", "catchup": "all", "catchup_limit": 100},
}


@dataclass(frozen=True, slots=True)
class Backlog:
    """A month of one kind of entry."""

    case: str
    settled_s: float  # from the first row of the histories to the last entry's being ahead again
    messages: int
    cpu_s: float  # of the daemon from its start on
    lag_ms: int


def measure() -> dict[str, Any]:
    """Settles a month of each case, each with a server of its own."""
    return {"backlogs": [asdict(_backlog(case, spec)) for case, spec in CASES.items()]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    rows = [
        f"| {b['case']} | {b['settled_s']:.2f} s | {b['messages']:,} | {b['cpu_s']:.2f} s | {b['lag_ms']} ms |"
        for b in result["backlogs"]
    ]
    return "\n".join(
        [
            "| 100 entries, a month late | settled in | messages | daemon CPU, with its start | worst lag |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _backlog(case: str, spec: dict[str, Any]) -> Backlog:
    names = [f"late-{i:03d}" for i in range(ENTRIES)]
    with running_server() as server, Client(server.url, "default") as client, server.client() as redis:
        due = KEYS.key("due")
        with running_daemon(server):
            put(client, names, {**spec, "task": "app.tasks.work"})
            wait_planned(server)
        redis.delete("celery", KEYS.key("hist"), KEYS.key("skip"), KEYS.key("last"))
        for name in names:
            redis.zincrby(due, -MONTH_MS, name)
        with running_daemon(server) as pid:
            wait_for(lambda: redis.zcount(due, "-inf", client.now_ms() - 1_100) == 0, "settled")
            settled, cpu = client.now_ms(), cpu_seconds_of(pid)
            messages: Any = redis.llen("celery")
            rows: Any = [*redis.xrange(KEYS.key("hist"), count=1), *redis.xrange(KEYS.key("skip"), count=1)]
            lag = worst_lag_ms(server)
    first = min(int(row[b"at"]) for _, row in rows)
    return Backlog(case, round((settled - first) / 1000, 3), int(messages), round(cpu, 2), lag)
