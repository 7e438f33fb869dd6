"""What runs on this machine, as /proc tells it."""

import os
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "Z" not in stat.rpartition(")")[2].split()[0]


def running_in(folder: Path) -> list[str]:
    """Command lines of the processes that have a folder, or something in it, as their current one or in an argument."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            place, words = (entry / "cwd").readlink(), (entry / "cmdline").read_text(errors="replace")
        except OSError:  # it has just ended, or is another user's
            continue
        if (f"{place}/".startswith(f"{folder}/") or str(folder) in words) and alive(int(entry.name)):
            found.append(words.replace("\0", " ").strip())
    return found
