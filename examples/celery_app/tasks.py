"""A small Celery application. It knows nothing of beatd: its tasks are started by name, from schedules.yaml.

The one thing it takes from beatd is the header ``beatd_slot``: the instant for which a run was scheduled, which is
what a report about "the last hour" should count from, however late the run is.
"""

import os
from typing import Any

from celery import Celery
from celery.utils.log import get_task_logger

# The default is where beatd's private server listens when no Redis is configured.
BROKER_URL = os.environ.get("CELERY_BROKER_URL") or "redis://127.0.0.1:7379/0"

app = Celery("tasks", broker=BROKER_URL, backend=BROKER_URL)
app.conf.update(
    result_expires=3600,
    worker_prefetch_multiplier=1,  # so that a worker takes the most urgent message each time
    broker_connection_retry_on_startup=True,
)
logger = get_task_logger(__name__)


@app.task
def add(x: float, y: float) -> float:
    logger.info("add: %s + %s", x, y)
    return x + y


@app.task
def greet(name: str, *, greeting: str = "Hello") -> str:
    text = f"{greeting}, {name}!"
    logger.info("greet: %s", text)
    return text


@app.task(bind=True)
def heartbeat(self: Any) -> dict[str, str | None]:
    """Says for which entry and for which slot it runs."""
    headers = self.request.headers or {}
    entry, slot = headers.get("periodic_task_name"), headers.get("beatd_slot")
    logger.info("heartbeat: entry=%s slot=%s", entry, slot)
    return {"entry": entry, "slot": slot}
