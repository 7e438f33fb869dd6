"""Asking a daemon for its health, its readiness and its metrics over HTTP."""

import json
import urllib.error
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.daemon import Daemon


class Pages:
    """Where a daemon serves its pages: the address that it told when it started."""

    def __init__(self, daemon: Daemon) -> None:
        self.url = daemon.wait_for("started").fields["http"]

    def ask(self, path: str) -> tuple[int, str]:
        """The status and the text of a page. Raises OSError when nobody answers within 2 s."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def verdict(self, path: str) -> tuple[int, dict[str, Any]]:
        """Of /healthz or /readyz."""
        status, text = self.ask(path)
        found: dict[str, Any] = json.loads(text)
        assert found["ok"] is (status == 200)
        return status, found

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return self.verdict("/readyz")[0] == 200

    def amiss(self) -> dict[str, str]:
        """What keeps it from being ready, with the details."""
        checks = self.verdict("/readyz")[1]["checks"]
        return {name: check["detail"] for name, check in checks.items() if not check["ok"]}

    def alive(self) -> bool:
        """Whether it says that it is alive."""
        return self.verdict("/healthz")[0] == 200

    def metrics(self) -> dict[str, float]:
        """Every sample by its name, with its labels as they are written: ``beatd_entries{state="paused"}``."""
        found = {}
        for family in text_string_to_metric_families(self.ask("/metrics")[1]):
            for sample in family.samples:
                labels = ",".join(f'{key}="{value}"' for key, value in sample.labels.items())
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found
