"""A part of a terminal that is drawn again and again in its place."""

import shutil
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

HIDE, SHOW = "\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h"  # the cursor; and lines that are too long
HOME, CLEAR, TO_LINE_END, TO_END = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"


class Screen:
    """Standard output, a terminal, with the cursor hidden; the last picture stays when the block ends."""

    def __enter__(self) -> Self:
        sys.stdout.write(HIDE + CLEAR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.write("\n" + SHOW)
        sys.stdout.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """Shows these lines, as many as there is room for; one write, so that nothing flickers."""
        _, height = size()
        shown = lines[: max(1, height - 1)]
        sys.stdout.write(HOME + "\n".join(line + TO_LINE_END for line in shown) + TO_END)
        sys.stdout.flush()


def size() -> tuple[int, int]:
    """Columns and lines of the terminal now."""
    found = shutil.get_terminal_size()
    return found.columns, found.lines
