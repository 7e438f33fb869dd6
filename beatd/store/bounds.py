"""How much of what only people read is kept, where whoever writes does not know how large its rows are."""

from typing import Final

SKIP_ROWS: Final = 50_000  # of T:skip, by any client that edits
