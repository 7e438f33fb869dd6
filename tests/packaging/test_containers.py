"""The images and compose.yaml, without an engine to build them: they are read, and what they name must exist."""

import http.server
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from beatd.config.settings import SETTINGS, load_settings
from tests.support.images import Instruction, last_stage, read_dockerfile, tag_of
from tests.support.servers import RedisServer
from tests.support.units import ROOT, parse_command

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGES = [ROOT / "Dockerfile", ROOT / "examples" / "celery_app" / "Dockerfile"]
IMAGE = pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.parent.name)
PORT = next(setting.default.port for setting in SETTINGS if setting.name == "http")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# What the Compose specification knows, as far as anybody here might want it.
TOP_LEVEL = {"name", "services", "volumes", "networks", "configs", "secrets", "include"}
SERVICE_KEYS = """
build cap_add cap_drop command configs container_name depends_on deploy entrypoint env_file environment expose
extra_hosts healthcheck hostname image init labels logging mem_limit networks platform ports profiles pull_policy
read_only restart secrets security_opt stop_grace_period stop_signal sysctls tmpfs tty ulimits user volumes working_dir
"""
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


# -- images


@IMAGE
def test_every_base_is_of_a_stated_version(path: Path) -> None:
    stages: set[str] = set()
    for image in (i.words for i in read_dockerfile(path) if i.name == "FROM"):
        assert image[0] in stages or re.match(r"[0-9]", tag_of(image[0])), image
        stages.update(image[2:3])


@IMAGE
def test_its_python_is_one_that_beatd_runs_on(path: Path) -> None:
    (version,) = {tag_of(i.words[0]).partition("-")[0] for i in read_dockerfile(path) if i.name == "FROM"}
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


@IMAGE
def test_it_does_not_run_as_root_and_ends_by_sigterm(path: Path) -> None:
    last = last_stage(read_dockerfile(path))
    user = last["USER"].words[0].partition(":")[0]
    assert user.isdigit(), "a cluster can't know whether a name is root"
    assert int(user) > 0
    assert last["STOPSIGNAL"].words == ["SIGTERM"]


@IMAGE
def test_every_file_that_is_copied_exists(path: Path) -> None:
    copied = [i for i in read_dockerfile(path) if i.name in {"COPY", "ADD"}]
    assert copied
    for words in (i.words for i in copied):
        if not words[0].startswith("--from="):
            assert [word for word in words[:-1] if not (path.parent / word).exists()] == []


def test_what_is_copied_is_let_through_and_nothing_else() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    sources = {word for i in read_dockerfile(ROOT / "Dockerfile") if i.name == "COPY"
               for word in i.words[:-1] if not i.text.startswith("--from")}  # fmt: skip
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def test_the_files_that_are_copied_suffice_to_build_it() -> None:
    """What pyproject.toml names lies among them."""
    copied = next(i for i in read_dockerfile(ROOT / "Dockerfile") if i.name == "COPY").words
    assert {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml"} <= set(copied)


def test_the_extras_that_it_installs_exist() -> None:
    (asked,) = {extras for i in read_dockerfile(ROOT / "Dockerfile") for extras in re.findall(r"'\.\[(.*?)\]'", i.text)}
    assert set(asked.split(",")) <= set(PROJECT["optional-dependencies"])


def test_it_starts_a_command_that_beatd_has() -> None:
    last = last_stage(read_dockerfile(ROOT / "Dockerfile"))
    assert last["ENTRYPOINT"].words == [*PROJECT["scripts"]]
    parse_command(last["CMD"].words)
    assert last["EXPOSE"].words == [str(PORT)]


def test_the_venv_is_copied_to_where_it_was_made() -> None:
    venv = re.search(r"-m venv (\S+)", "".join(i.text for i in read_dockerfile(ROOT / "Dockerfile")))
    last = last_stage(read_dockerfile(ROOT / "Dockerfile"))
    assert venv is not None
    assert last["COPY"].words == ["--from=build", venv[1], venv[1]]
    assert last["ENV"].words[0] == f"PATH={venv[1]}/bin:$PATH"


@pytest.fixture
def health() -> Iterator[tuple[list[int], int]]:
    """A server that answers /healthz with what the list says, and its port."""
    answer = [200]

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer[0] if self.path == "/healthz" else 404)
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Nobody reads it."""

    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield answer, server.server_port
        server.shutdown()
        thread.join()


def test_its_health_check_asks_for_healthz(health: tuple[list[int], int]) -> None:
    answer, port = health
    options, _, command = last_stage(read_dockerfile(ROOT / "Dockerfile"))["HEALTHCHECK"].text.partition("CMD ")
    assert dict(re.findall(r"--([a-z-]+)=(\S+)", options)).keys() == {"interval", "timeout", "start-period", "retries"}
    python, flag, code = Instruction("CMD", command).words
    assert (python, flag, code.count(f":{PORT}/")) == ("python", "-c", 1)

    def unhealthy(port: int) -> bool:
        asks = [sys.executable, "-c", code.replace(f":{PORT}/", f":{port}/")]
        return subprocess.run(asks, capture_output=True, timeout=20, check=False).returncode != 0

    assert not unhealthy(port)
    answer[0] = 503
    assert unhealthy(port)
    assert unhealthy(1)


# -- compose.yaml


def test_it_says_nothing_that_compose_does_not_know() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} <= TOP_LEVEL
    for name, service in SERVICES.items():
        assert set(service) <= set(SERVICE_KEYS.split()), name
        assert set(service.get("healthcheck", {})) <= HEALTHCHECK, name


def test_what_it_refers_to_exists() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] in CONDITIONS
            assert needed in SERVICES
            if how["condition"] == "service_healthy":
                assert SERVICES[needed]["healthcheck"]["test"]
        for mounted in service.get("volumes", ()):
            source = mounted.partition(":")[0]
            assert (ROOT / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"], source
        assert (ROOT / service["build"] / "Dockerfile").is_file() if "build" in service else tag_of(service["image"])
        assert tag_of(service["image"]) != "latest"


def test_there_are_two_beatd_a_redis_and_a_worker() -> None:
    assert [name for name, service in SERVICES.items() if service.get("build") == "."] == ["beatd-a", "beatd-b"]
    assert set(SERVICES) == {"beatd-a", "beatd-b", "redis", "worker"}
    assert all(service["restart"] == "always" for service in SERVICES.values())


@pytest.mark.parametrize("name", ["beatd-a", "beatd-b"])
def test_beatd_and_the_worker_meet_at_the_redis_of_the_file(name: str) -> None:
    beatd = SERVICES[name]
    folder = next(mount.partition(":")[0] for mount in beatd["volumes"] if mount.split(":")[1] == "/etc/beatd")
    settings = load_settings([ROOT / folder / "schedules.yaml"], {}, beatd["environment"])
    assert settings.redis == SERVICES["worker"]["environment"]["CELERY_BROKER_URL"] == "redis://redis:6379/0"
    parse_command(beatd.get("command", ["run"]))


def test_its_redis_forgets_nothing_and_starts_with_what_it_is_given(start_redis: Callable[..., RedisServer]) -> None:
    program, *words = SERVICES["redis"]["command"]
    options = {flag.removeprefix("--").replace("-", "_"): value for flag, value in zip(*[iter(words)] * 2, strict=True)}
    assert program == "redis-server"
    with start_redis(**options).client() as client:
        found = client.config_get("appendonly", "maxmemory-policy")
    assert found == {"appendonly": "yes", "maxmemory-policy": "noeviction"}
