"""No command says a secret of an address, however broken that is and wherever it came from."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Beatd

Schedules = Callable[[str], None]
BROKEN = [
    "redis://:CANARY",
    "redis://user:CANARY",
    "redis://:CANARY/x@127.0.0.1:1/0",
    "redis://:CANARY?x@127.0.0.1:1/0",
    "redis://:CANARY#x@127.0.0.1:1/0",
    "redis://:CANARY x@127.0.0.1:1/0",
    "redis://:'CANARY\"@127.0.0.1:1/0",
    "redis://CANARY@127.0.0.1:1/0",
    "redis://user:CANARY@127.0.0.1:1/0",
    "redis://CANARY@127.0.0.1:99999999/0",
    "redis://127.0.0.1:CANARY/0",
    "redis://127.0.0.1:1/CANARY",
    "redis://127.0.0.1:1/0?socket_timeout=CANARY",
    "redis://127.0.0.1:1/0?CANARY=1",
    "redis://[CANARY:CANARY@127.0.0.1:1/0",
    "rediss://:CANARY@127.0.0.1:1/0?ssl_ca_certs=/none",
    "http://user:CANARY@127.0.0.1",
    "sentinel://:CANARY@a:1;sentinel://:CANARY@b:1",
    "CANARY",
    "user:CANARY@127.0.0.1",
]


@pytest.mark.parametrize("url", BROKEN, ids=range(len(BROKEN)))
def test_no_command_says_a_secret(
    url: str, beatd: Beatd, schedules: Schedules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(url)
    (tmp_path / "other.yaml").write_text(json.dumps({"redis": url, "schedules": {}}, indent=1, ensure_ascii=False))
    schedules(json.dumps({"redis": url, "broker": url, "schedules": {"a": {}}}, ensure_ascii=False))
    said = [
        beatd("ls", "--redis", url),
        beatd("ls", f"--redis={url}", "-o", "json"),
        beatd("status", url, "--redis", url),
        beatd("set", "x", "--task", "t", "--every", "1h", "--redis", url, "--namespace", "n", "-c", "/none"),
        beatd("check"),
        beatd("check", "-o", "json", "other.yaml"),
        beatd("config", "show"),
        beatd("config", "show", "-o", "json", "-c", "other.yaml"),
        beatd("run"),
        beatd("run", "--http", "x", "--redis", url),
        beatd("run", "--http", "x", "--redis", url, "--log-format", "text"),
        beatd("ls", "-c", "other.yaml"),
    ]
    monkeypatch.setenv("BEATD_REDIS_URL_FILE", str(secret))
    monkeypatch.setenv("BEATD_BROKER_URL", url)
    said += [beatd("ls", "-o", "json"), beatd("config", "show", "--http", "x"), beatd("run", "--lease-ttl", "x")]
    for done in said:
        assert "CANARY" not in done.out + done.err
        assert done.out + done.err
