"""Findings about what is stored, and about who leads it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from beatd.core.census import Sizes
from beatd.core.doctor.finding import Finding, fail, ok, warn
from beatd.core.instant import utc_of
from beatd.core.overview import LATE_MS, Overview, files_of, versions, why_no_leader

OLD_YEARS: Final = 2
NAMED: Final = 5  # of fields


@dataclass(frozen=True, slots=True)
class ZoneVersions:
    """Versions of zone data, '' unknown: of this command, and of the timetable."""

    here: str
    stored: str


def key_findings(spoilt: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the keys of beatd are what beatd keeps there."""
    for sentence in spoilt.values():
        what, _, to_do = sentence.partition(": ")
        yield fail("keys", what, to_do)
    if not spoilt:
        yield ok("keys", "each is of its type, or not there yet")


def lease_findings(o: Overview) -> Iterator[Finding]:
    """Whether somebody leads, and whether it fires."""
    if o.leader is None:
        yield fail("lease", why_no_leader(o), "start the daemon (beatd run), or see the log of one that runs")
    else:
        epoch = o.lease.get("epoch", "?")
        yield ok("lease", f"{o.leader} leads, epoch {epoch}, for {o.left / 1000:.1f} of {o.ttl / 1000:g} s")
    if o.lag_ms > LATE_MS:
        text = f"the oldest entry that is due waits for {o.lag_ms / 1000:,.0f} s"
        yield fail("lag", text, "see the log of the leader; beatd history tells what was fired last")
    else:
        yield ok("lag", f"{o.lag_ms} ms")


def instance_findings(o: Overview) -> Iterator[Finding]:
    """Whether the instances are one fleet."""
    for name in o.silent:
        yield warn("instances", f"{name} was not heard of for a lease's time to live", "is its host alive, or frozen?")
    found = versions(o, "version")
    if len(found) > 1:
        text = "; ".join(f"beatd {version} on {', '.join(names)}" for version, names in found.items())
        yield warn("instances", text, "upgrade all of them to one version")
    files = files_of(o)
    for name, each in files["instances"].items():
        if not each["config_ok"]:
            yield fail("files", f"{name} can't use its files, and goes on with the last good ones", "beatd check there")
        elif each["stands"] in ("newer", "older"):
            text = f"{name} has other files than those that are stored, registered {each['registered']}"
            yield fail("files", text, "give all instances the same files")
    others = len(o.living) - (o.leader in o.living)
    if not o.silent and len(found) <= 1:
        standbys = f"{others} {'standby' if others == 1 else 'standbys'}" if others else "no standby"
        yield ok("instances", f"{len(o.living)} alive, {standbys}")
    if files["agree"]:
        yield ok(
            "files", f"applied by {files['by']}, the same on all instances" if files["applied"] else "none are applied"
        )


def zone_findings(o: Overview, zones: ZoneVersions) -> Iterator[Finding]:
    """Whether all count with the same zone data, and whether these are of our days."""
    found = versions(o, "tzdata")
    fix = "pip install --upgrade tzdata on all hosts"
    if len(found) > 1:
        yield warn("zone data", "; ".join(f"{v} on {', '.join(names)}" for v, names in found.items()), fix)
    elif zones.stored and zones.here and zones.here < zones.stored:
        yield warn("zone data", f"{zones.here} here, the timetable was planned with {zones.stored}", fix)
    elif _is_old(zones.here, utc_of(o.now).year):
        yield warn("zone data", f"{zones.here} is old: some country has changed its clock since", fix)
    else:
        planned = f", the timetable was planned with {zones.stored}" if zones.stored else ""
        yield ok("zone data", f"{zones.here or 'of no known version'} here{planned}")


def entry_findings(sizes: Sizes) -> Iterator[Finding]:
    """Whether every entry is in exactly one place."""
    definitions, places = sizes.disagreement
    if not definitions and not places:
        in_places = f"{sizes.due:,} in the timetable, {sizes.out:,} out of it, {sizes.blocked:,} blocked"
        yield ok("entries", f"{sizes.revisions:,}: {in_places}")
        return
    text = f"{sizes.revisions:,} entries, {definitions:+,} definitions and {places:+,} places that belong to none"
    yield warn("entries", text, "the leader mends that within seconds; if it stays, see its log (entry_invalid)")


def field_findings(unknown: Mapping[str, int]) -> Iterator[Finding]:
    """Whether stored definitions have fields that this version does not know; unknown: how many, by field."""
    if unknown:
        named = ", ".join(sorted(unknown)[:NAMED])
        text = f"stored fields that this beatd does not know: {named}; they are kept, and decide nothing"
        yield warn("entries", text, "upgrade beatd if a newer one wrote them; write entries with a misspelt one anew")


def _is_old(version: str, year: int) -> bool:
    found = re.match(r"(\d{4})", version)
    return found is not None and int(found[1]) <= year - OLD_YEARS
