"""A Celery application that writes down what it executed, for tests of everything that follows a task."""

import json
import os
from typing import Any

import redis
from celery import Celery
from kombu.entity import Exchange, Queue

URL = os.environ["CELERY_BROKER_URL"]
STORE = os.environ["RESULTS_URL"]
ARGUMENTS: dict[str, dict[str, Any]] = json.loads(os.environ.get("QUEUE_ARGUMENTS", "{}"))
SEEN = "seen"

app = Celery("tasks", broker=URL, backend=STORE)
app.conf.update(
    accept_content=["json", "yaml", "msgpack"],
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    task_queues=[Queue(name, Exchange(name), name, queue_arguments=given) for name, given in ARGUMENTS.items()] or None,
)
store = redis.Redis.from_url(STORE)


def note(task: Any, result: Any) -> Any:
    """Appends one execution to the list SEEN, with the clock of Redis."""
    request = task.request
    seconds, micros = store.time()
    kept = {
        "task": task.name,
        "id": request.id,
        "root": request.root_id,
        "parent": request.parent_id,
        "group": request.group,
        "stamps": request.stamps,
        "eta": request.eta,
        "at": seconds * 1000 + micros // 1000,
        "result": result,
    }
    store.rpush(SEEN, json.dumps(kept))
    return result


@app.task(bind=True)
def add(self: Any, *numbers: float) -> Any:
    return note(self, sum(numbers))


@app.task(bind=True)
def total(self: Any, numbers: list[float]) -> Any:
    return note(self, sum(numbers))


@app.task(bind=True)
def echo(self: Any, *args: Any, **kwargs: Any) -> Any:
    return note(self, [list(args), kwargs])


@app.task(bind=True)
def fail(self: Any, *_: Any) -> None:
    note(self, None)
    raise ValueError("as asked")
