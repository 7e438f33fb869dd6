"""Gathering what `beatd doctor` judges of this host. Nothing here waits for more than two seconds."""

import http.client
import importlib.metadata
import os
import shutil
import stat
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from beatd.core.doctor import Finding
from beatd.core.doctor.host import (
    ConfigFacts,
    EndpointFacts,
    FolderFacts,
    UnitFacts,
    config_finding,
    endpoint_finding,
    folder_finding,
    parser_finding,
    unit_findings,
)
from beatd.core.entry import Entry, entry_from_definition
from beatd.errors import BeatdError
from beatd.formats.celery import compile_template

if TYPE_CHECKING:
    from beatd.cli.main import Common
    from beatd.config.problems import Problem
    from beatd.config.settings import Settings

SYSTEMCTL_S: Final = 2.0
ENDPOINT_S: Final = 1.0
LARGEST_BODY: Final = 64 * 1024
UNITS: Final = ("beatd.service", "beatd@*.service")
_FIELDS: Final = ("Id", "LoadState", "UnitFileState", "ActiveState", "WatchdogUSec", "NRestarts")
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # who listens everywhere is reached here


def configuration(common: "Common") -> "tuple[Settings | None, list[str], Finding]":
    """The settings, None where they can't be known; the queues that entries of the files go to; what `check` says."""
    from beatd.config.problems import errors_of
    from beatd.config.settings import check_settings

    try:
        files = common.files()
        settings, problems = check_settings(files, common.flags(), os.environ)
    except BeatdError as error:
        return None, [], config_finding(ConfigFacts((), errors=(error.message,)))
    errors = errors_of(problems)
    entries = [] if settings is None else settings.entries
    facts = ConfigFacts(
        files=[path.name for path in files],
        entries=len(entries),
        errors=[_line(problem) for problem in errors],
        warnings=[_line(problem) for problem in problems if problem not in errors],
    )
    if errors:
        settings = _without_entries(common)
    return settings, sorted({key for entry in entries if (key := _queue_key(entry))}), config_finding(facts)


def queue_of(definition: bytes) -> str | None:
    """The key of the queue that a stored definition means, None where it can't be read."""
    try:
        return _queue_key(entry_from_definition("-", definition))
    except BeatdError:
        return None


def unknown_fields(definitions: Iterable[bytes]) -> Counter[str]:
    """How many of some stored definitions have a field that this version does not know, by field."""
    found: Counter[str] = Counter()
    for definition in definitions:
        with suppress(BeatdError):
            found.update(entry_from_definition("-", definition).extra)
    return found


def parser() -> Finding:
    """Whether hiredis is there."""
    try:
        return parser_finding(importlib.metadata.version("hiredis"))
    except importlib.metadata.PackageNotFoundError:
        return parser_finding(None)


def folder(settings: "Settings") -> Finding:
    """The private server's folder, where one is used."""
    if settings.redis is not None:
        return folder_finding(None)
    path = settings.folder / ".beatd"
    try:
        found = path.lstat()
    except OSError:
        return folder_finding(FolderFacts(str(path), None))
    return folder_finding(FolderFacts(str(path), stat.S_IMODE(found.st_mode), found.st_uid, os.geteuid()))


def units() -> Sequence[Finding]:
    """How systemd runs beatd here."""
    program = shutil.which("systemctl")
    if program is None:
        return list(unit_findings(None))
    command = [program, "show", *UNITS, f"--property={','.join(_FIELDS)}"]
    try:
        done = subprocess.run(  # noqa: S603  # words of ours, to the systemctl on PATH
            command, capture_output=True, text=True, errors="replace", timeout=SYSTEMCTL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return list(unit_findings(None))
    return list(unit_findings(read_units(done.stdout) if done.returncode == 0 else None))


def read_units(text: str) -> list[UnitFacts]:
    """The units that exist, from what `systemctl show` prints: lines of KEY=VALUE, a blank one between units."""
    found = []
    for block in text.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if unit.get("LoadState", "not-found") == "not-found":
            continue
        restarts = unit.get("NRestarts", "0")
        found.append(
            UnitFacts(
                name=unit.get("Id", "?"),
                file_state=unit.get("UnitFileState", ""),
                active=unit.get("ActiveState", ""),
                watchdog=unit.get("WatchdogUSec", ""),
                restarts=int(restarts) if restarts.isdigit() else 0,
            )
        )
    return found


def endpoint(settings: "Settings", daemons_here: int | None) -> Finding:
    """What the daemon on this host says of itself."""
    address = settings.http
    if address is None:
        return endpoint_finding(None, daemons_here=daemons_here)
    connection = http.client.HTTPConnection(_ANYWHERE.get(address.host, address.host), address.port, timeout=ENDPOINT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(LARGEST_BODY).decode(errors="replace")
        facts = EndpointFacts(str(address), answer.status, body)
    except TimeoutError:
        facts = EndpointFacts(str(address), silent=True)
    except (OSError, http.client.HTTPException) as error:
        facts = EndpointFacts(str(address), problem=str(error) or type(error).__name__)
    finally:
        connection.close()
    return endpoint_finding(facts, daemons_here=daemons_here)


def _line(problem: "Problem") -> str:
    return f"{problem.place}: {problem.code} {problem.message}"


def _without_entries(common: "Common") -> "Settings | None":
    try:
        return common.settings(entries=False)
    except BeatdError:
        return None


def _queue_key(entry: Entry) -> str | None:
    try:
        return compile_template(entry.task, entry.queue, entry.sent_options, origin="").queue_key
    except BeatdError:
        return None
