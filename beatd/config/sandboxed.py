"""The process that reads files for sandbox.py: a request on stdin, one JSON value a line on stdout."""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

NICENESS: Final = 5


def main() -> None:
    """Sets its own bounds first, then reads."""
    os.nice(NICENESS)  # firing comes first
    request = json.load(sys.stdin)
    _bound(resource.RLIMIT_AS, request["memory"])
    _bound(
        resource.RLIMIT_CPU, request["cpu_s"], 1
    )  # at the soft limit SIGXCPU, which tells why; a second later SIGKILL
    _bound(resource.RLIMIT_CORE, 0)
    for value in _read(request):
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _bound(what: int, limit: int, more: int = 0) -> None:
    """Sets a soft limit, and the hard one by so much above it; neither above what is allowed already."""
    allowed = resource.getrlimit(what)[1]
    soft, hard = (low if allowed == resource.RLIM_INFINITY else min(low, allowed) for low in (limit, limit + more))
    resource.setrlimit(what, (soft, hard))


def _read(request: dict[str, Any]) -> "list[dict[str, Any]]":
    from beatd.config.problems import errors_of  # noqa: PLC0415  # as below
    from beatd.config.settings import SETTINGS, plain_value, read_settings  # noqa: PLC0415  # within the bounds
    from beatd.core.entry_set import EntrySet  # noqa: PLC0415  # as above

    paths = [Path(path) for path in request["paths"]]
    settings, problems, watched = read_settings(paths, request["flags"], request["env"])
    said: list[dict[str, Any]] = [{"problem": problem.fields()} for problem in problems]
    said += [{"path": path, "digest": digest} for path, digest in watched.digests.items()]
    said += [{"folder": folder, "pattern": pattern} for folder, pattern in watched.patterns]
    if settings is None or errors_of(problems):
        return [*said, {"files": [], "hash": "", "settings": {}}]
    entries = EntrySet.of(settings.entries)
    said += [
        {"entry": name, "definition": definition, "hash": entries.hashes[name]}
        for name, definition in entries.definitions.items()
    ]
    values = {setting.name: plain_value(setting, getattr(settings, setting.name)) for setting in SETTINGS}
    return [*said, {"files": [file.name for file in settings.files], "hash": entries.hash, "settings": values}]


if __name__ == "__main__":
    main()
