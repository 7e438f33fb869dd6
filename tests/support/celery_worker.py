"""A real Celery worker for tests: a child process that is ready when it has answered, stopped by pid."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import celery.exceptions
from celery import Celery

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "celery_app"
START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 10.0
# A task every worker has, without an application of its own; it returns its arguments.
PING: Final = "celery.accumulate"


class CeleryWorker:
    """A worker of the application in ``folder`` (``tasks.py`` with an ``app``), on one or more queues.

    ``app`` is a client of the same broker: it reads results, ``app.AsyncResult(id).get()``. ``results``: where they
    are, if not there. ``arguments``: of queues that the worker declares in its own way.
    """

    def __init__(
        self,
        url: str,
        log: Path,
        *,
        queues: Sequence[str] = ("celery",),
        folder: Path = EXAMPLE,
        results: str = "",
        arguments: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.url = url
        self._results = results or url
        self._arguments = arguments or {}
        self.queues = tuple(queues)
        self.app = Celery("tests", broker=url, backend=self._results, set_as_current=False)
        self._folder = folder
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that the worker has said since it was first started."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the worker is not running")
        return self._process.pid

    def start(self) -> None:
        """Starts the worker and waits until it has executed a task, so that it is known to listen.

        That ping is the least urgent message of the first queue: with messages waiting, those are executed first.
        """
        if self._process is not None:
            raise RuntimeError("the worker is running already")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """The end by SIGTERM: what is being executed is finished. Stopped already: nothing."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """The end without a last word, by SIGKILL, of the worker and its pool. Ended already: nothing."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stops the worker and lets go of the client's connections."""
        self.stop()
        self.app.backend.result_consumer.stop()
        self.app.close()

    def _command(self) -> list[str]:
        quick = ["--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [
            *(sys.executable, "-m", "celery", "-A", "tasks", "worker", *quick),
            *("--loglevel", "INFO", "--queues", ",".join(self.queues)),
        ]

    def _environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "CELERY_BROKER_URL": self.url,
            "RESULTS_URL": self._results,
            "QUEUE_ARGUMENTS": json.dumps(self._arguments),
            "PYTHONUNBUFFERED": "1",
        }

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        ping = self.app.send_task(PING, ("ready",), queue=self.queues[0], priority=9)
        give_up = time.monotonic() + START_TIMEOUT
        while process.poll() is None:
            # In steps only to notice a worker that has ended: the answer wakes get() at once.
            with suppress(celery.exceptions.TimeoutError):
                ping.get(timeout=1)
                ping.forget()
                return
            if time.monotonic() > give_up:
                raise RuntimeError(f"the worker has not answered in {START_TIMEOUT:g} s:\n{self.log}")
        raise RuntimeError(f"the worker ended with {process.returncode}:\n{self.log}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT)
        finally:
            # The pool's processes share the worker's session and nothing else does.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
