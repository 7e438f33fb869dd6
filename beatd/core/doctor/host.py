"""Findings about this host: configuration, program, private server, service, endpoint."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from beatd.core.doctor.finding import Finding, fail, ok, warn

MANY_RESTARTS: Final = 5
_OK: Final = 200
_NOT_READY: Final = 503


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """What `beatd check` finds: files, entries in them, errors and warnings, a line each."""

    files: Sequence[str]
    entries: int = 0
    errors: Sequence[str] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """The private server's folder. mode: its permissions, None where it is missing. user: who we are."""

    path: str
    mode: int | None
    owner: int = 0
    user: int = 0


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """One unit of systemd, in the words of `systemctl show`. watchdog: '0' or 'infinity' without one."""

    name: str
    file_state: str
    active: str
    watchdog: str
    restarts: int


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What `/readyz` of the daemon on this host says. status None: no answer, ``problem`` says why."""

    address: str
    status: int | None = None
    body: str = ""
    problem: str = ""
    silent: bool = False


def config_finding(facts: ConfigFacts) -> Finding:
    """Whether the files can be used."""
    if facts.errors:
        more = f" (and {len(facts.errors) - 1} more)" if len(facts.errors) > 1 else ""
        return fail("configuration", facts.errors[0] + more, "beatd check shows each with what to write instead")
    names = ", ".join(facts.files)
    if facts.warnings:
        more = f" (and {len(facts.warnings) - 1} more)" if len(facts.warnings) > 1 else ""
        return warn("configuration", facts.warnings[0] + more, "beatd check shows each with what to write instead")
    found = f"{names}: {facts.entries:,} {'entry' if facts.entries == 1 else 'entries'}"
    return ok("configuration", found if names else "no file: what is stored in Redis goes on")


def parser_finding(version: str | None) -> Finding:
    """Whether Redis replies are read quickly. version: that of hiredis."""
    if version is None:
        return warn("hiredis", "not installed: fires cost about twice as much", "pip install 'beatd[fast]'")
    return ok("hiredis", version)


def folder_finding(facts: FolderFacts | None) -> Finding:
    """Whether the private server's folder is private; None: no private server is used."""
    if facts is None:
        return ok("private server", "not used: a Redis is configured")
    if facts.mode is None:
        return ok("private server", f"{facts.path} is not there yet: beatd run makes it")
    if facts.owner != facts.user:
        text = f"{facts.path} belongs to user {facts.owner}, this is user {facts.user}"
        return fail("private server", text, "run beatd as its owner")
    if facts.mode & 0o077:
        text = f"{facts.path} is open to others (mode {facts.mode:04o})"
        return fail("private server", text, f"chmod 700 {facts.path}")
    return ok("private server", f"{facts.path}, mode {facts.mode:04o}")


def unit_findings(units: Sequence[UnitFacts] | None) -> Iterator[Finding]:
    """How systemd keeps beatd running; None: there is no systemd here."""
    if not units:
        yield ok("systemd", "not used: no unit of beatd" if units is not None else "not used")
    for unit in units or ():
        yield _unit(unit)


def _unit(unit: UnitFacts) -> Finding:
    if unit.active != "active":
        return fail(
            "systemd", f"{unit.name} is {unit.active}", f"journalctl -u {unit.name}, systemctl start {unit.name}"
        )
    if unit.file_state not in ("enabled", "enabled-runtime", "static", "generated", "transient", "indirect"):
        text = f"{unit.name} is {unit.file_state or 'not enabled'}: it does not start with the host"
        return warn("systemd", text, f"systemctl enable {unit.name}")
    if unit.watchdog in ("", "0", "infinity"):
        text = f"{unit.name} has no WatchdogSec: systemd does not notice when beatd hangs"
        return warn("systemd", text, "take the unit that comes with beatd (systemd/beatd.service)")
    if unit.restarts >= MANY_RESTARTS:
        text = f"{unit.name} was restarted {unit.restarts} times"
        return warn("systemd", text, f"journalctl -u {unit.name} tells why")
    return ok("systemd", f"{unit.name} is active and {unit.file_state}, watchdog {unit.watchdog}")


def endpoint_finding(facts: EndpointFacts | None, *, daemons_here: int | None) -> Finding:
    """Whether the daemon on this host says that it is ready; None: its endpoint is switched off.

    daemons_here: how many instances on this host are alive by what is stored; None where that is not known.
    """
    if facts is None:
        return ok("http", "switched off")
    if facts.status is None:
        return _unanswered(facts, daemons_here)
    if facts.status == _OK:
        return ok("http", f"{facts.address}/readyz says ready{_told(facts.body)}")
    if facts.status == _NOT_READY:
        return fail("http", f"{facts.address}/readyz says not ready{_told(facts.body)}", "beatd status tells more")
    text = f"something at {facts.address} answers with {facts.status}, and is no endpoint of beatd"
    return warn("http", text, "name a free one for beatd: --http 127.0.0.1:PORT")


def _unanswered(facts: EndpointFacts, daemons_here: int | None) -> Finding:
    if facts.silent:
        fix = "is the daemon frozen? its watchdog ends it within seconds; see its log"
        return fail("http", f"{facts.address} accepts connections and does not answer", fix)
    if not daemons_here:
        unknown = "; whether a daemon runs on this host is not known"
        why = ": no daemon runs on this host" if daemons_here == 0 else unknown
        return ok("http", f"nobody serves HTTP at {facts.address}{why}")
    text = f"a daemon runs on this host, and nothing answers at {facts.address} ({facts.problem})"
    return warn("http", text, "it was started with another --http, or its port was taken: see its log")


def _told(body: str) -> str:
    """What the body says beside, in short: its plain values, and what of its findings is not well."""
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(content, dict):
        return ""
    told = [f"{key} {value}" for key, value in content.items() if isinstance(value, str | int | float) and key != "ok"]
    for found in content.values():
        for name, each in found.items() if isinstance(found, dict) else ():
            if isinstance(each, dict) and each.get("ok") is False:
                told.append(f"{name}: {each.get('detail', 'not well')}")
    return f": {', '.join(told)}" if told else ""
