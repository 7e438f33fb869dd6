"""The application of celery beat and redbeat in the race: PEER_ENTRIES crontabs of every minute."""

import os

from celery import Celery
from celery.schedules import crontab

app = Celery("race", broker=os.environ["PEER_REDIS"])
app.conf.timezone = "UTC"
app.conf.redbeat_redis_url = os.environ["PEER_REDIS"]
app.conf.beat_schedule = {
    f"race-{number:06d}": {"task": "race.work", "schedule": crontab(), "args": (number,)}
    for number in range(int(os.environ["PEER_ENTRIES"]))
}
