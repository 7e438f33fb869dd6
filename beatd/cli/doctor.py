"""`beatd doctor`: what is wrong here, and how to mend it. Exit code 0, 1 with a failure, 6 without Redis."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final

import click

from beatd.cli.main import Common, common_options, output_option, print_json, redis_url
from beatd.cli.show import printable, styled
from beatd.core.doctor import Finding, fail, verdict, warn
from beatd.errors import BeatdError, ConfigInvalid, Unreachable

if TYPE_CHECKING:
    from beatd.client.blocking import Client
    from beatd.config.settings import Settings
    from beatd.core.overview import Overview

BUDGET_S: Final = 3.0  # after which nothing new is asked of Redis
APART_S: Final = 0.5  # between two looks at the queues
COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}
NOT_ASKED: Final = "not looked at"


@click.command()
@common_options
@output_option
def doctor(common: Common, output: str) -> int:
    """Look at configuration, Redis, leader, queues and this host: what is wrong, and what to do.

    Changes nothing. Ends within a few seconds, also with a Redis that hangs.

    \b
    0  nothing fails (there may be warnings)
    1  something fails
    6  Redis can't be asked; what needs no Redis was looked at
    """
    show = _print if output == "table" else _keep_still
    findings: list[Finding] = []
    visit = _Visit(common)
    for finding in visit.findings():
        findings.append(finding)
        show(finding)
    code = verdict(findings, reachable=visit.reachable)
    if output == "json":
        print_json({"code": code, "findings": [asdict(finding) for finding in findings]})
    return code


@dataclass(slots=True)
class _Visit:
    """One look at everything. ``reachable`` once it is over: whether Redis could be asked."""

    common: Common
    reachable: bool = True
    queue_keys: list[str] = field(default_factory=list)

    def findings(self) -> Iterator[Finding]:
        """What is found, as it is found."""
        from beatd.cli.doctor_host import configuration, endpoint, folder, parser, units

        settings, queue_keys, finding = configuration(self.common)
        self.queue_keys.extend(queue_keys)
        yield finding
        yield parser()
        yield from units()
        if settings is None:
            yield fail("redis", f"{NOT_ASKED}: which one is meant can't be known", "mend the configuration first")
            return
        yield folder(settings)
        daemons_here = None
        for found in self._of_redis(settings):
            if isinstance(found, Finding):
                yield found
            else:
                daemons_here = sum(each.get("host") == socket.gethostname() for each in found.living.values())
        yield from self._of_broker(settings)
        yield endpoint(settings, daemons_here)

    def _of_broker(self, settings: "Settings") -> Iterator[Finding]:
        """Of a broker that is not our Redis: nothing else needs it to be there."""
        from beatd.core.doctor.brokers import broker_findings
        from beatd.core.doctor.queues import PRIORITY_MARK
        from beatd.transports import examine_broker

        if settings.broker is None or (settings.redis and settings.broker_beside(settings.redis) is None):
            return
        queues = list(dict.fromkeys(key.partition(PRIORITY_MARK)[0] for key in self.queue_keys))
        try:
            facts = examine_broker(replace(settings.broker, confirm_timeout=BUDGET_S), queues)
        except BeatdError as error:
            yield _failed("broker", error)
        else:
            yield from broker_findings(facts, settings.broker.declare)

    def _of_redis(self, settings: "Settings") -> "Iterator[Finding | Overview]":
        from beatd.client.blocking import Client

        try:
            url = redis_url(settings)
        except (Unreachable, ConfigInvalid) as error:
            self.reachable = False
            yield _failed("redis", error)
            return
        with Client(url, settings.namespace) as client:
            over = time.monotonic() + BUDGET_S
            here = settings.broker_beside(url) is None
            for check, section in _sections(client, self.queue_keys, here=here):
                if time.monotonic() > over:
                    yield warn(check, f"{NOT_ASKED}: Redis is slow, and the time is over", "see latency; run it again")
                    continue
                try:
                    yield from section()
                except BeatdError as error:
                    yield _failed(check, error)
                    if check == "redis" or type(error) is Unreachable:
                        self.reachable = False
                        return


_Section = Callable[[], "Iterable[Finding | Overview]"]


def _sections(client: "Client", queue_keys: list[str], *, here: bool) -> Iterator[tuple[str, _Section]]:
    """What is asked of Redis, in steps; the first one finds out whether it answers at all.

    here: the queues are in this Redis. ``queue_keys`` learns those of stored entries.
    """
    from beatd.cli.doctor_host import unknown_fields
    from beatd.core.doctor.fleet import (
        ZoneVersions,
        entry_findings,
        field_findings,
        instance_findings,
        key_findings,
        lease_findings,
        zone_findings,
    )
    from beatd.core.doctor.queues import publish_finding, queue_findings
    from beatd.core.doctor.sentinel import sentinel_findings
    from beatd.core.doctor.server import server_findings
    from beatd.core.zone import data_version
    from beatd.store.examine import (
        QueueLooks,
        examine_sentinels,
        examine_server,
        examine_sizes,
        some_definitions,
        stored_zone_data,
        try_queue,
    )
    from beatd.store.key_types import spoilt_keys
    from beatd.store.overview import read_fleet

    def server() -> Iterator[Finding]:
        yield from server_findings(examine_server(client.link, queue_keys), client.link.place)
        if (sentinels := examine_sentinels(client.link)) is not None:
            yield from sentinel_findings(sentinels)

    def fleet() -> "Iterator[Finding | Overview]":
        found = read_fleet(client.link)
        yield found
        yield from lease_findings(found)
        yield from instance_findings(found)
        yield from zone_findings(found, ZoneVersions(data_version(), stored_zone_data(client.link)))

    def queues() -> Iterator[Finding]:
        begun = time.monotonic()
        looks = QueueLooks(client.link, queue_keys)
        yield publish_finding(try_queue(client.link))
        time.sleep(max(0.0, begun + APART_S - time.monotonic()))
        yield from queue_findings(looks.again(), client.now_ms())

    yield "redis", server
    yield "keys", lambda: key_findings(spoilt_keys(client.link))
    yield "lease", fleet

    def entries() -> Iterator[Finding]:
        yield from entry_findings(examine_sizes(client.link))
        yield from field_findings(unknown_fields(some_definitions(client.link)))
        queue_keys.extend(_queues_of(client))

    yield "entries", entries
    if here:
        yield "queues", queues


def _queues_of(client: "Client") -> list[str]:
    """The keys of queues that stored entries go to, as some of them say."""
    from beatd.cli.doctor_host import queue_of
    from beatd.store.examine import some_definitions

    return list(dict.fromkeys(key for text in some_definitions(client.link) if (key := queue_of(text)) is not None))


def _failed(check: str, error: BeatdError) -> Finding:
    return fail(check, error.message, error.hint or "docs/troubleshooting.md has what beatd says, and what to do")


def _print(finding: Finding) -> None:
    level = styled(f"{finding.level:4}", fg=COLOURS[finding.level])
    click.echo(f"{level}  {finding.check:14} {printable(finding.text)}")
    if finding.fix:
        click.echo(f"{'':21}{printable(finding.fix)}")


def _keep_still(finding: Finding) -> None:
    """JSON comes as a whole."""
