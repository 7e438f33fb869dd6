"""From an edit to its effect: an entry due at once is put, until its message is pushed. All by the server's clock.

Beside it twenty entries run every second: what edits do to others is their lateness.
"""

import random
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from beatd.client.blocking import Client
from beatd.core.instant import instant_text
from bench.daemon import fires, put, running_daemon, wait_planned, worst_lag_ms
from bench.server import running_server

SIZES: Final = (100, 100_000)
EDITS: Final = 100
BEATS: Final = 20
MANY: Final = 20_000  # entries put in one go
FAR: Final = 200 * 86_400_000


@dataclass(frozen=True, slots=True)
class Edits:
    """Edits beside so many stored entries. Milliseconds: median and worst."""

    entries: int
    to_push_ms: tuple[float, float]
    others_late_ms: tuple[float, float]
    many_late_ms: tuple[float, float]  # others, while very many entries are put
    lag_ms: int


def measure() -> dict[str, Any]:
    """Measures each size, with a server of its own."""
    return {"edits": [asdict(_edits(size)) for size in SIZES]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown: median / worst."""
    head = f"| entries stored | put to push | others late meanwhile | others late while {MANY:,} are put | worst lag |"
    rows = [
        f"| {e['entries']:,} | "
        + " | ".join("{:.0f} / {:.0f} ms".format(*e[key]) for key in ("to_push_ms", "others_late_ms", "many_late_ms"))
        + f" | {e['lag_ms']} ms |"
        for e in result["edits"]
    ]
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def _edits(entries: int) -> Edits:
    r = random.Random(1)
    with running_server() as server, running_daemon(server), Client(server.url, "default") as client:
        far = instant_text((client.now_ms() + FAR) // 1000 * 1000)
        put(client, [f"far-{i:06d}" for i in range(entries)], {"at": far, "task": "app.tasks.work"})
        wait_planned(server)
        put(client, [f"beat-{i}" for i in range(BEATS)], {"every": "1s", "task": "t", "queue": "beats"})
        time.sleep(3)
        begun = client.now_ms()
        sent: dict[str, int] = {}
        for number in range(EDITS):
            sent[f"edit-{number}"] = now = client.now_ms()
            put(client, [f"edit-{number}"], {"at": instant_text(now), "task": "app.tasks.work"})
            time.sleep(r.uniform(0.05, 0.15))
        many = client.now_ms()
        put(client, [f"many-{i:06d}" for i in range(MANY)], {"at": far, "task": "app.tasks.work"})
        wait_planned(server)
        ended = client.now_ms()
        time.sleep(1.5)
        lag, found = worst_lag_ms(server), fires(server)
    took = [at - sent[name] for name, _, at in found if name in sent]
    assert len(took) == EDITS, f"{len(took)} fires of {EDITS} edits"
    beats = [(due, at - due) for name, due, at in found if name.startswith("beat-")]
    return Edits(
        entries=entries,
        to_push_ms=_summed_up(took),
        others_late_ms=_summed_up([late for due, late in beats if begun <= due < many]),
        many_late_ms=_summed_up([late for due, late in beats if many <= due < ended]),
        lag_ms=lag,
    )


def _summed_up(late: list[int]) -> tuple[float, float]:
    return statistics.median(late or [0]), max(late or [0])
