"""Following what comes: `history --follow`, of fires and of changes."""

import time
from collections.abc import Callable
from typing import Final, NoReturn

from beatd.cli.show import note
from beatd.errors import AccessDenied, Unreachable

AGAIN_S: Final = 0.5


def follow(print_more: Callable[[], object]) -> NoReturn:
    """Prints what comes, for ever; Redis may go and come back. ``print_more`` waits for some of it, AGAIN_S at most.

    Raises AccessDenied: that will not pass.
    """
    away = False
    while True:
        try:
            print_more()
        except AccessDenied:
            raise
        except Unreachable as error:
            if not away:
                note(f"{error.message}; waiting for it")
            away = True
            time.sleep(AGAIN_S)
            continue
        if away:
            note("it answers again")
        away = False
