"""P4: what was acknowledged is obeyed. Real daemons fire a storm while people edit; a message is judged by its place.

Every generation of an entry's definition has its number among the arguments. After an edit has returned, a marker is
pushed into the same queue: no message of an older generation may lie behind it, and none at all behind that of a pause
or a removal. The markers, and the messages, are read at the end, in the order in which they came to the queue.
"""

import asyncio
import base64
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import redis

from beatd.client.aio import AsyncClient
from beatd.client.blocking import Client
from tests.support.daemon import Fleet
from tests.support.scenes import StartDaemon
from tests.support.servers import RedisServer

STRESS_S: Final = float(os.environ.get("BEATD_TEST_STRESS_S", "3"))
SEED: Final = int(os.environ.get("BEATD_TEST_SEED", "20261121"))
QUEUE: Final = "storm"
ENTRIES: Final = 20
WRITERS: Final = 4
CLOSED: Final = 10**9  # nothing is
EVERY: Final = ("10ms", "20ms", "50ms")


@dataclass(slots=True)
class Writer:
    """Edits its own entries, one after the other, and marks each acknowledgement."""

    queue: "redis.Redis"
    random: random.Random
    names: list[str]
    paused: dict[str, bool] = field(default_factory=dict)  # of those that are stored
    latest: dict[str, int] = field(default_factory=dict)
    edits: int = 0

    def mark(self, name: str, least: int) -> None:
        """From here on this entry's messages are of that generation at least."""
        self.queue.lpush(QUEUE, json.dumps({"marker": name, "least": least}))

    def steps(self) -> Iterator[tuple[str, str, dict[str, Any], int]]:
        """What to do next: verb, name, arguments, and the generation from which on messages are right once it is done.

        Where an edit lets an entry fire again, its latest generations are welcome before the answer.
        """
        r = self.random
        while True:
            self.edits += 1
            name = r.choice(self.names)
            paused = self.paused.get(name)
            verb = "set" if paused is None else r.choice(["set", "set", "set", "pause", "remove", "resume"])
            if verb == "set":
                generation = self.latest[name] = self.edits
                if paused is None:
                    self.mark(name, generation)
                self.paused[name] = bool(paused)
                fields = {"task": "t", "every": r.choice(EVERY), "fast": True, "queue": QUEUE, "catchup": "all"}
                yield verb, name, {**fields, "args": [generation]}, CLOSED if paused else generation
            elif verb == "resume":
                self.mark(name, self.latest[name])
                self.paused[name] = False
                yield verb, name, {"catchup": r.random() < 0.5}, self.latest[name]
            elif verb == "pause":
                self.paused[name] = True
                yield verb, name, {}, CLOSED
            else:
                del self.paused[name]
                yield verb, name, {}, CLOSED


def edit_blocking(url: str, writer: Writer, until: float) -> None:
    with Client(url) as client:
        for verb, name, arguments, least in writer.steps():
            getattr(client, verb)(name, **arguments)
            writer.mark(name, least)
            if time.monotonic() > until:
                return


def edit_async(url: str, writer: Writer, until: float) -> None:
    async def edit() -> None:
        async with AsyncClient(url) as client:
            for verb, name, arguments, least in writer.steps():
                await getattr(client, verb)(name, **arguments)
                writer.mark(name, least)
                if time.monotonic() > until:
                    return

    asyncio.run(edit())


@dataclass(slots=True)
class Verdict:
    """What the queue says: messages, those that should not be there, and how close messages came to a marker."""

    messages: int = 0
    disobeyed: list[str] = field(default_factory=list)
    close: int = 0  # messages of an older generation among the last before the marker that ends it


def judged(raw: list[bytes]) -> Verdict:
    """The whole queue, from its first message to its last."""
    found = Verdict()
    least: dict[str, int] = {}
    lately: list[tuple[str, int]] = []
    for number, text in enumerate(raw):
        message = json.loads(text)
        if "marker" in message:
            name, new = message["marker"], message["least"]
            found.close += any(of == name and generation < new for of, generation in lately[-ENTRIES:])
            least[name] = new
            continue
        found.messages += 1
        name = message["headers"]["periodic_task_name"]
        [generation] = json.loads(base64.b64decode(message["body"]))[0]
        lately.append((name, generation))
        if generation < least[name]:
            found.disobeyed.append(f"{number}: {name} of generation {generation}, {least[name]} was acknowledged")
    return found


@pytest.mark.parametrize("edit", [edit_blocking, edit_async], ids=["Client", "AsyncClient"])
def test_nothing_of_an_older_definition_is_enqueued_after_its_edit_has_returned(
    edit: Callable[[str, Writer, float], None], server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    """The leader is killed and replaced in the middle, for a new one takes up what the old one left."""
    fleet = Fleet([start_daemon(server.url, lease_ttl="1s") for _ in range(2)], client)
    leader = fleet.leader()
    writers = [
        Writer(client, random.Random(SEED + n), [f"w{n}-{i}" for i in range(ENTRIES // WRITERS)])
        for n in range(WRITERS)
    ]
    until = time.monotonic() + STRESS_S
    threads = [threading.Thread(target=edit, args=(server.url, writer, until)) for writer in writers]
    for thread in threads:
        thread.start()
    time.sleep(STRESS_S / 2)
    leader.kill()
    for thread in threads:
        thread.join()
    fleet.leader(other_than=leader)
    wait_for_fires(client)
    newest_first: Any = client.lrange(QUEUE, 0, -1)
    verdict = judged(newest_first[::-1])
    assert verdict.disobeyed[:5] == []
    assert verdict.messages > 200 * STRESS_S
    assert sum(writer.edits for writer in writers) > 100 * STRESS_S
    assert verdict.close > 10 * STRESS_S, "the storm did not come near the edits: this would prove nothing"


def wait_for_fires(client: "redis.Redis") -> None:
    """Until the next leader has sent something, or has had the time to."""
    length = client.llen(QUEUE)
    give_up = time.monotonic() + 3
    while client.llen(QUEUE) == length and time.monotonic() < give_up:
        time.sleep(0.01)
