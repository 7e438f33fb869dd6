"""The configuration of rq's cron in the race: PEER_ENTRIES crontabs of every minute."""

import os

from race import work
from rq import cron

for number in range(int(os.environ["PEER_ENTRIES"])):
    cron.register(work, queue_name="celery", args=(number,), cron="* * * * *")
