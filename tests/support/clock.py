"""A server whose wall clock can be set while it runs, without touching that of the host."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.support.servers import require

SOURCE: Final = Path(__file__).with_name("clock_shim.c")


def compiled(source: Path, folder: Path) -> Path:
    """A library for LD_PRELOAD."""
    compiler = require(shutil.which("cc") or shutil.which("gcc"), "C compiler")
    library = folder / f"{source.stem}.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


class ShiftedClock:
    """The clock of processes started with ``variables``. ``shift`` sets it, in whole seconds from the host's."""

    def __init__(self, folder: Path) -> None:
        library = compiled(SOURCE, folder)
        self._file = folder / "clock_shift"
        self.shift(0)
        self.variables = {"LD_PRELOAD": str(library), "CLOCK_SHIM": str(self._file)}

    def shift(self, seconds: int) -> None:
        """Sets the clock, at once: the file is mapped."""
        if not self._file.exists():
            self._file.write_bytes(bytes(8))
        with self._file.open("r+b") as file:
            file.write((seconds * 1000).to_bytes(8, "little", signed=True))
