"""Python's collector of cycles, kept from walking all that is staged.

A full collection looks at every object there is: with 100,000 staged entries it held the loop for 70 to 140 ms, amid a
storm. Reference counts free nearly everything here, and young cycles are still found at once, so full collections can
wait for a quiet moment.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

YOUNG: Final = (700, 10)  # objects, young collections: what they walk takes a few milliseconds
NEVER: Final = 1_000_000
EVERY_S: Final = 60.0
FEW: Final = 2_000  # staged entries, which take 2 ms to walk
MOST_PUT_OFF: Final = 60  # times, an hour: where so many are always staged, they are walked all the same


def keep_full_collections_back() -> None:
    """What exists by now stays, and is never walked again; later full collections are `collect_when_quiet`'s."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*YOUNG, NEVER)


async def collect_when_quiet(staged: Callable[[], int]) -> None:
    """Runs for ever. ``staged``: how many entries are."""
    put_off = 0
    while True:
        await asyncio.sleep(EVERY_S)
        if staged() > FEW and put_off < MOST_PUT_OFF:
            put_off += 1
            continue
        put_off = 0
        gc.collect()
