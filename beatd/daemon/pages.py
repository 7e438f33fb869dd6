"""The three pages: `/healthz`, `/readyz`, `/metrics`. Called on the server's thread; all they read are attributes."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from beatd.core.health import Verdict, alive, ready
from beatd.daemon.http import Page, Pages
from beatd.daemon.lag import LoopLag
from beatd.daemon.own_files import OwnFiles
from beatd.daemon.pulse import Pulse
from beatd.daemon.tallies import Tallies
from beatd.daemon.vitals import Vitals

JSON: Final = "application/json"


def pages(
    vitals: Vitals, tallies: Tallies, own: OwnFiles, pulse: Pulse, lag: LoopLag, hide: Callable[[str], str]
) -> Pages:
    """By path. ``hide`` takes secrets out of a text."""

    def told(verdict: Verdict) -> Page:
        status = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(status, JSON, json.dumps(_shown(verdict, vitals, hide), indent=2).encode() + b"\n")

    return {
        "/healthz": lambda: told(alive(pulse.missed)),
        "/readyz": lambda: told(ready(vitals.seen(missed=pulse.missed, config_error=own.error))),
        "/metrics": _metrics_page(tallies, vitals, lag),
    }


def _shown(verdict: Verdict, vitals: Vitals, hide: Callable[[str], str]) -> dict[str, Any]:
    return {
        "ok": verdict.ok,
        "role": vitals.role,
        "epoch": vitals.epoch or None,
        "checks": {what: {"ok": ok, "detail": hide(detail)} for what, (ok, detail) in verdict.signs.items()},
    }


def _metrics_page(tallies: Tallies, vitals: Vitals, lag: LoopLag) -> Callable[[], Page]:
    made: list[Any] = []

    def page() -> Page:
        from beatd.daemon.metrics import CONTENT_TYPE, Exporter  # noqa: PLC0415  # 20 ms and 2 MB: for who scrapes

        if not made:
            made.append(Exporter(tallies, vitals, lambda: lag.worst_ms / 1000))
        return Page(HTTPStatus.OK, CONTENT_TYPE, made[0].page())

    return page
