"""RabbitMQ is gone for a minute, restarts in a storm, or lacks a queue: each slot that the policies keep arrives."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import redis

from beatd.client.blocking import Client
from beatd.core.duration import parse_duration
from beatd.core.history import Line, lines_of
from beatd.core.intent import MOST_INTENTS, MOST_OF_ONE_BAD_QUEUE
from beatd.core.schedules import SCHEDULE_KEYS, parse_schedule
from tests.endurance.measure import new_server
from tests.support.daemon import Daemon
from tests.support.ledger import Enqueued, verdict_on
from tests.support.rabbit import RabbitServer, rabbit_program
from tests.support.rabbit_ledger import RabbitLedger
from tests.support.scenes import T, now_ms, put

GRACE: Final = "2s"
SLACK_MS: Final = 1_000  # between the instant that was decided by and the one that the history has
PATIENCE_S: Final = 120.0
KEPT: Final[dict[str, dict[str, Any]]] = {
    "all": {"catchup": "all"},
    "latest": {"catchup": "latest"},
    "none": {"catchup": "none"},
    "deadline": {"catchup": "all", "deadline": "20s"},
    "expires": {"catchup": "all", "options": {"expires": "20s"}},
}
PERIODS: Final = ("1s", "7s")
MANY: Final = 40  # entries that run every second and lose nothing: more is owed than the outbox holds
BEATS: Final = 20


@dataclass(slots=True)
class Broken:
    """What came of one part: its row of the report, and what must not be."""

    row: str
    problems: list[str]


class _Stage(NamedTuple):
    """A leader, a standby, their Redis, a node, and a ledger on queues of it."""

    rabbit: RabbitServer
    client: "redis.Redis"
    store: Client
    daemons: list[Daemon]
    ledger: RabbitLedger
    queues: Sequence[str]

    def held(self) -> int:
        """How many messages wait in the stored outbox."""
        return int(self.client.hlen(f"{T}:ob"))

    def owed(self, until: int) -> int:
        """How many entries are due since before that instant."""
        return int(self.client.zcount(f"{T}:due", 0, until))

    def term(self) -> int:
        """Grows by one with each new leader."""
        return int(self.client.hget(f"{T}:lease", "epoch") or 0)

    def lines(self) -> list[Line]:
        """Both histories, unpacked."""
        found: list[Line] = []
        for stream, what in (("hist", "fired"), ("skip", "skipped")):
            rows: Any = self.client.xrange(f"{T}:{stream}")
            for _, fields in rows:
                found += lines_of(what, 0, fields)  # type: ignore[arg-type]  # one of the two
        return found


def be_without_broker(seconds: float, folder: Path, *, around_s: float = 8.0) -> Broken:
    """The node is stopped for so long while entries of every policy fall due."""
    with _stage(folder, ["work"]) as stage:
        each = {"task": "t.t", "grace": GRACE, "catchup_limit": 1_000, "queue": stage.queues[0]}
        specs: dict[str, dict[str, Any]] = {
            f"{name}-{period}": {**each, **policy, "every": period}
            for name, policy in KEPT.items()
            for period in PERIODS
        }
        specs |= {f"many-{n}": {**each, "every": "1s", "catchup": "all"} for n in range(MANY)}
        put(stage.store, specs)
        most, led = _watch(stage, around_s), stage.term()
        stage.rabbit.stop()
        most = max(most, _watch(stage, seconds))
        stage.rabbit.start()
        back = now_ms(stage.client)
        most = max(most, _watch(stage, around_s))
        until = now_ms(stage.client)
        went_on = stage.ledger.wait_for(
            lambda found: {m.entry for m in found if m.slot >= until} >= set(specs), timeout=60
        )
        changes = stage.term() - led
        for daemon in stage.daemons:
            daemon.stop()
        time.sleep(0.5)
        found, lines = stage.ledger.all(), stage.lines()
        problems = [*verdict_on(found, {}, 0).problems, *_bounded(most)]
        problems += [] if went_on else ["not every entry went on"]
        problems += [text for name, spec in specs.items() for text in judge(name, spec, lines, found, until)]
        late = [m.wall_ms - m.slot for m in found if m.slot < back]
        told = max(
            int(event.fields["late_ms"])
            for daemon in stage.daemons
            for event in daemon.events("entry_fired") + daemon.events("entries_fired")
            if "late_ms" in event.fields
        )
        fired = [sum(back - seconds * 1000 < m.slot < back for m in found if m.entry == f"{n}-1s") for n in KEPT]
        row = (
            f"| {seconds:g} | {' / '.join(map(str, fired))} | {len(found):,} | {stage.ledger.repeats} |"
            f" {max(late) / 1000:.1f} / {told / 1000:.1f} | {most} | {changes} | {len(problems)} |"
        )
        return Broken(row, problems)


def judge(
    name: str, spec: Mapping[str, Any], lines: Sequence[Line], found: Sequence[Enqueued], until: int
) -> Iterator[str]:
    """What is wrong with an entry: slots of which nothing is known, that came against its policy, or did not."""
    own = [line for line in lines if line.name == name]
    came = {m.slot for m in found if m.entry == name and m.slot <= until}
    fired = {line.slot or 0: line.at for line in own if line.what == "fired"}
    next_ms = parse_schedule({key: value for key, value in spec.items() if key in SCHEDULE_KEYS}, name=name).next_ms
    slot = min(came, default=until) - 1
    while (following := next_ms(slot)) is not None and following <= until:
        slot = following
        skips = [line for line in own if line.what == "skipped" and (line.slot or 0) <= slot <= (line.last or 0)]
        if (slot in fired) + len(skips) != 1:
            yield f"{name}: {slot} has {int(slot in fired)} rows of a fire and {len(skips)} of a skip"
        elif (slot in came) != (slot in fired):
            yield f"{name}: {slot} came {int(slot in came)} times, and has {int(slot in fired)} rows of a fire"
        elif slot in fired and not any(_keeps(spec, slot, fired[slot] + by, next_ms) for by in (-SLACK_MS, 0)):
            yield f"{name}: {slot} was fired at {fired[slot]}, against its policy"
        elif skips and all(_keeps(spec, slot, skips[0].at + by, next_ms) for by in (-SLACK_MS, 0, SLACK_MS)):
            yield f"{name}: {slot} was skipped ({skips[0].reason}) at {skips[0].at}, against its policy"


def _keeps(spec: Mapping[str, Any], slot: int, at: int, next_ms: Callable[[int], int | None]) -> bool:
    """What docs/entries.md says of a slot that is decided at that instant."""
    late = at - slot
    ends = [spec.get("deadline"), spec.get("options", {}).get("expires")]
    if any(late > parse_duration(end) for end in ends if end):
        return False
    if late <= parse_duration(GRACE) or spec["catchup"] == "all":
        return True
    following = next_ms(slot)
    return spec["catchup"] == "latest" and (following is None or following > at)


def storm_over_a_restart(count: int, folder: Path) -> Broken:
    """So many fall due at once, and the node is killed and started when a part of them went."""
    with _stage(folder, ["storm", "beats"]) as stage:
        storm, beats = stage.queues
        put(
            stage.store,
            {f"beat-{n}": {"task": "t.t", "every": "1s", "catchup": "all", "queue": beats} for n in range(BEATS)},
        )
        slot = now_ms(stage.client) // 1000 * 1000 + (12 + count // 1_000) * 1000
        cron = datetime.fromtimestamp(slot / 1000, UTC).strftime("%-S %-M %-H %-d %-m *")
        names = [f"storm-{n}" for n in range(count)]
        for start in range(0, count, 500):
            spec = {"task": "t.t", "cron": cron, "queue": storm}
            put(stage.store, dict.fromkeys(names[start : start + 500], spec))
        led = stage.term()
        most = _watch(stage, max(0.0, (slot - now_ms(stage.client)) / 1000))
        most = max(most, _until(stage, lambda: stage.owed(slot) < count * 7 // 10))
        gone = stage.owed(slot)
        stage.rabbit.kill()
        began = time.monotonic()
        stage.rabbit.start()
        away = time.monotonic() - began
        most = max(most, _until(stage, lambda: stage.owed(slot) == 0 and stage.held() <= BEATS))
        stage.ledger.wait_for(lambda found: len({m.entry for m in found if m.slot == slot}) >= count, timeout=30)
        _watch(stage, 2)
        found = stage.ledger.all()
        came = [m for m in found if m.entry.startswith("storm")]
        until = max(m.slot for m in found if m.entry == "beat-0")
        specs = {f"beat-{n}": {"every": "1s"} for n in range(BEATS)}
        problems = [*verdict_on(found, specs, until - 2_000).problems, *_bounded(most)]
        problems += [f"{name}: lost" for name in sorted(set(names) - {m.entry for m in came})]
        last = (max((m.wall_ms for m in came), default=slot) - slot) / 1000
        beat = max(m.wall_ms - m.slot for m in found if m.entry.startswith("beat")) / 1000
        row = (
            f"| {count:,} | {gone:,} | {away:.1f} | {len(came):,} | {stage.ledger.repeats} | {last:.1f} | {beat:.1f} |"
            f" {most} | {stage.term() - led} | {len(problems)} |"
        )
        return Broken(row, problems)


def without_a_queue(seconds: float, folder: Path, *, entries: int = 150) -> Broken:
    """A queue is missing for so long, and is declared then; another one goes on beside it."""
    with _stage(folder, ["good"]) as stage:
        missing = f"missing-{uuid.uuid4().hex[:8]}"
        good = {
            f"good-{n}": {"task": "t.t", "every": "1s", "catchup": "all", "queue": stage.queues[0]}
            for n in range(BEATS)
        }
        put(stage.store, good)
        _watch(stage, 3)
        lost = {f"lost-{n}": {"task": "t.t", "every": "1s", "queue": missing} for n in range(entries)}
        put(stage.store, lost)
        began = now_ms(stage.client)
        most = _watch(stage, seconds, missing)
        blocked = int(stage.client.zcard(f"{T}:blocked"))
        ended = now_ms(stage.client)
        late = max(m.wall_ms - m.slot for m in stage.ledger.all() if began <= m.slot < ended - 2_000)
        with stage.rabbit.channel() as channel:
            channel.queue_declare(missing, durable=True, auto_delete=False)
        declared = time.monotonic()
        again = RabbitLedger(stage.rabbit, [missing])
        try:
            back = again.wait_for(lambda found: {m.entry for m in found} >= set(lost), timeout=60)
            took = time.monotonic() - declared
            _watch(stage, 2)
        finally:
            again.close()
        problems = (
            verdict_on(stage.ledger.all(), good, ended - 2_000).problems + verdict_on(again.all(), {}, 0).problems
        )
        problems += [] if back else ["not all entries of the queue went on after it was declared"]
        problems += [f"{most} of a missing queue were held"] if most > MOST_OF_ONE_BAD_QUEUE else []
        problems += [] if blocked >= entries - MOST_OF_ONE_BAD_QUEUE else [f"only {blocked} entries were blocked"]
        row = f"| {seconds:g} | {most} | {blocked} | {late} | {took:.1f} | {again.repeats} | {len(problems)} |"
        return Broken(row, problems)


def _bounded(most: int) -> list[str]:
    return [f"the outbox held {most}"] if most > MOST_INTENTS else []


def _watch(stage: _Stage, seconds: float, queue: str | None = None) -> int:
    """Looks at the outbox for so long; the most that it held (of a queue)."""
    until, most = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        most = max(most, stage.held() if queue is None else _held_of(stage, queue))
        time.sleep(0.02)
    return most


def _held_of(stage: _Stage, queue: str) -> int:
    heads: Any = stage.client.hvals(f"{T}:ob")
    return sum(head.split(b"\x1f")[3] == queue.encode() for head in heads)


def _until(stage: _Stage, reached: Callable[[], bool]) -> int:
    """As ``_watch``, until something is reached."""
    give_up, most = time.monotonic() + PATIENCE_S, 0
    while not reached():
        assert time.monotonic() < give_up, f"not in {PATIENCE_S:g} s"
        most = max(most, stage.held())
        time.sleep(0.01)
    return most


@contextmanager
def running_node(folder: Path) -> Iterator[RabbitServer]:
    """A node for all parts."""
    if rabbit_program() is None:
        raise SystemExit("no rabbitmq-server: install it")
    node = RabbitServer(folder / "node")
    node.start()
    try:
        yield node
    finally:
        node.close()


@contextmanager
def _stage(folder: Path, queues: Sequence[str]) -> Iterator[_Stage]:
    with ExitStack() as stack:
        rabbit = stack.enter_context(running_node(folder))
        with rabbit.channel() as channel:
            for queue in queues:
                channel.queue_declare(queue, durable=True, auto_delete=False)
        server = new_server(folder, appendonly="yes")
        server.start()
        stack.callback(server.kill)
        daemons = [Daemon(folder / f"daemon-{n}", server.url, config={"broker": rabbit.url}) for n in range(2)]
        for daemon in daemons:
            stack.callback(daemon.close)
            daemon.start().wait_for("started")
        ledger = RabbitLedger(rabbit, queues)
        stack.callback(ledger.close)
        client = stack.enter_context(server.client())
        store = stack.enter_context(Client(server.url, "default"))
        yield _Stage(rabbit, client, store, daemons, ledger, queues)
