"""`make worker`: a real Celery worker for examples/celery_app, on the broker that `make run` uses.

That is CELERY_BROKER_URL or REDIS_URL if one is set, else the private server that beatd runs in this folder.
"""

import os
import sys
from pathlib import Path

from beatd.store.embedded import find_running

HOME = Path(__file__).parent.parent
APPLICATION = HOME / "examples" / "celery_app"


def main() -> None:
    url = os.environ.get("CELERY_BROKER_URL") or os.environ.get("REDIS_URL")
    if not url:
        server = find_running(HOME)
        if server is None:
            sys.exit("No private server runs here: start it in another terminal (make run), or set CELERY_BROKER_URL.")
        url = server.url
    print(f"worker: taking tasks from {url}", flush=True)
    os.environ["CELERY_BROKER_URL"] = url
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--loglevel", "INFO", "--pool", "solo"]
    os.chdir(APPLICATION)
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
