"""Where everything stands: the stacks of all threads and tasks, as text for people."""

import asyncio
import faulthandler
import logging
import os
from collections.abc import Iterator
from types import CoroutineType
from typing import Any, Final

STDERR: Final = 2
LOG: Final = logging.getLogger("beatd")
MOST_BYTES: Final = 65_536
MOST_TASKS: Final = 100
DEEPEST: Final = 30


def log_stacks(loop: asyncio.AbstractEventLoop) -> None:
    """Logs the stacks of all threads, and then what the tasks of a loop await; returns when that is written."""
    for whose, text in (("threads", thread_stacks()), ("tasks", task_stacks(loop))):
        told = ("where all %s stand", (whose,))
        LOG.handle(LOG.makeRecord(LOG.name, logging.CRITICAL, __file__, 0, *told, None, sinfo=text))
    for handler in logging.getLogger().handlers:
        handler.flush()


def write_stacks(loop: asyncio.AbstractEventLoop) -> None:
    """Writes the same to stderr as it is, past the log and all its locks."""
    for text in (thread_stacks, lambda: task_stacks(loop)):
        left = text().encode(errors="replace")
        while left:
            left = left[os.write(STDERR, left) :]


def thread_stacks() -> str:
    """The stacks of all threads of this process, the innermost call first.

    faulthandler writes while it holds the interpreter's lock, and a write to a stderr that nobody reads would never
    end: hence into a pipe of our own that doesn't block.
    """
    read, write = os.pipe()
    try:
        os.set_blocking(write, False)
        faulthandler.dump_traceback(write, all_threads=True)
        os.set_blocking(read, False)
        return os.read(read, MOST_BYTES).decode(errors="replace")
    finally:
        os.close(read)
        os.close(write)


def task_stacks(loop: asyncio.AbstractEventLoop) -> str:
    """What each task of a loop awaits, the outermost call first. Any thread may ask."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    lines = [line for task in tasks[:MOST_TASKS] for line in (f"Task {task.get_name()}:", *_awaits(task.get_coro()))]
    if len(tasks) > MOST_TASKS:
        lines.append(f"and {len(tasks) - MOST_TASKS} more tasks")
    return "".join(f"{line}\n" for line in lines)


def _awaits(awaited: Any) -> Iterator[str]:
    for _ in range(DEEPEST):
        if not isinstance(awaited, CoroutineType) or (frame := awaited.cr_frame) is None:
            return
        code = frame.f_code
        yield f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_qualname}'
        awaited = awaited.cr_await
