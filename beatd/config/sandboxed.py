"""The process that reads files for sandbox.py: a request on stdin, one JSON value a line on stdout."""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Sets its own bounds first, then reads."""
    request = json.load(sys.stdin)
    _bound(resource.RLIMIT_AS, request["memory"])
    _bound(resource.RLIMIT_CPU, request["cpu_s"])
    _bound(resource.RLIMIT_CORE, 0)
    for value in _read(request):
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _bound(what: int, limit: int) -> None:
    hard = resource.getrlimit(what)[1]
    lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (lower, lower))


def _read(request: dict[str, Any]) -> "list[dict[str, Any]]":
    from beatd.config.settings import SETTINGS, check_settings, files_hash  # noqa: PLC0415  # within the bounds

    settings, problems = check_settings([Path(path) for path in request["paths"]], request["flags"], os.environ)
    said: list[dict[str, Any]] = [{"problem": problem.fields()} for problem in problems]
    if settings is None:
        return [*said, {"files": [], "hash": "", "settings": {}}]
    said += [{"entry": entry.name, "definition": entry.to_definition()} for entry in settings.entries]
    values = {setting.name: getattr(settings, setting.name) for setting in SETTINGS}
    return [
        *said,
        {"files": [file.name for file in settings.files], "hash": files_hash(settings.files), "settings": values},
    ]


if __name__ == "__main__":
    main()
