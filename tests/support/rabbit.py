"""Real RabbitMQ nodes for tests: on free loopback ports, with name, folder and cookie of their own, stopped by pid.

A node takes seconds to start, so one serves many tests: each takes queues with names of its own. What would disturb
others (a stopped application, an alarm, a frozen process) is undone by the test that did it.
"""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import amqp

from tests.support.servers import free_port

START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 20.0
CONTROL_TIMEOUT: Final = 60.0
USER: Final = "beatd"
PASSWORD: Final = "a-word-of-its-own"
VHOST: Final = "tasks"
READER: Final = "reader"  # a user who may write nothing
# Debian's programs on PATH become another user first; these are what they then run.
BEHIND: Final = Path("/usr/lib/rabbitmq/bin")
TLS: Final = """
listeners.ssl.default = 127.0.0.1:{port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = {wanted}
"""


def rabbit_program(name: str = "rabbitmq-server") -> Path | None:
    """A program of RabbitMQ that runs as whoever starts it, or None."""
    debian = BEHIND / name
    if debian.is_file():
        return debian
    found = shutil.which(name)
    return Path(found) if found else None


class RabbitServer:
    """One node, as a child of this process, with a child of its own kind that knows names (epmd).

    Ports and folder outlive kill and start, and so do durable queues and their messages. ``lines`` are added to
    rabbitmq.conf. ``tls``: paths of an authority, a certificate and a key, and whether clients must show one.
    """

    def __init__(
        self, folder: Path, lines: Sequence[str] = (), tls: tuple[Path, Path, Path, bool] | None = None
    ) -> None:
        self.folder = folder
        self.port, self._dist_port, self._names_port = free_port(), free_port(), free_port()
        self.tls_port = free_port() if tls else 0
        self._lines = [*lines, *(self._tls_lines(*tls) if tls else ())]
        self._node: subprocess.Popen[bytes] | None = None
        self._names: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """Of the node; no other node of this machine has it."""
        return f"beatd-{self.port}@localhost"

    @property
    def url(self) -> str:
        return self.url_of()

    def url_of(self, user: str = USER, password: str = PASSWORD, vhost: str = VHOST) -> str:
        """The URL for somebody else, or for another virtual host."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost}"

    @property
    def tls_url(self) -> str:
        return f"amqps://{USER}:{PASSWORD}@localhost:{self.tls_port}/{VHOST}"

    @property
    def pid(self) -> int:
        if self._node is None:
            raise RuntimeError("the node is not running")
        return self._node.pid

    @property
    def log(self) -> str:
        """All that the node has said since it was first started."""
        path = self.folder / "node.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Starts the node and waits until it takes a connection."""
        if self._node is not None:
            raise RuntimeError(f"{self.name} is running already")
        program, names = rabbit_program(), shutil.which("epmd")
        if program is None or names is None:
            raise RuntimeError("there is no rabbitmq-server, or no epmd")
        self._prepare()
        if self._names is None:
            words = [names, "-port", str(self._names_port), "-address", "127.0.0.1", "-relaxed_command_check"]
            self._names = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with (self.folder / "node.log").open("ab") as log:
            self._node = subprocess.Popen(
                [str(program)], env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait_until_ready(self._node)
        except BaseException:
            self.close()
            raise

    def kill(self) -> None:
        """The end without a last word, by SIGKILL. Ended already: nothing."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end. Stopped already: nothing."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """The end of the node and of what belongs to it."""
        self.kill()
        names, self._names = self._names, None
        if names is not None:
            names.kill()
            names.wait(STOP_TIMEOUT)

    def restart(self) -> None:
        """A crash and a new start with the same ports and folder."""
        self.kill()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP within the block: connections stay open and nothing answers."""
        node = self._node
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if node is not None:
                node.send_signal(signal.SIGCONT)  # nothing, where it was killed meanwhile

    @contextmanager
    def out_of_memory(self) -> Iterator[None]:
        """The alarm for memory within the block: whoever publishes is blocked."""
        self.control("set_vm_memory_high_watermark", "0.0000001")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.4")

    @contextmanager
    def application_stopped(self) -> Iterator[None]:
        """Within the block the node runs and RabbitMQ does not, as in an upgrade."""
        self.control("stop_app")
        try:
            yield
        finally:
            self.control("start_app")
            if self._node is not None:
                self._wait_until_ready(self._node)

    def control(self, *words: str) -> str:
        """What `rabbitmqctl` says to some words. It takes a second or two."""
        program = rabbit_program("rabbitmqctl")
        command = [str(program), "--quiet", "--node", self.name, *words]
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=CONTROL_TIMEOUT, check=False
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    @contextmanager
    def channel(self) -> Iterator[amqp.Channel]:
        """A channel of a connection of its own, to declare queues and read them."""
        with self._connection() as connection:
            yield connection.channel()

    def take_all(self, queue: str) -> list[amqp.Message]:
        """Takes everything off a queue."""
        with self.channel() as channel:
            return list(iter(lambda: channel.basic_get(queue, no_ack=True), None))

    def _connection(self) -> amqp.Connection:
        where = f"127.0.0.1:{self.port}"
        return amqp.Connection(where, USER, PASSWORD, virtual_host=VHOST, connect_timeout=5, read_timeout=20)

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(f"BEATD{self.port}{os.getpid()}")
            cookie.chmod(0o400)
        (self.folder / "definitions.json").write_text(json.dumps(_definitions()))
        own = [
            f"listeners.tcp.default = 127.0.0.1:{self.port}",
            f"load_definitions = {self.folder}/definitions.json",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
            "disk_free_limit.absolute = 1MB",
        ]
        (self.folder / "rabbitmq.conf").write_text("\n".join([*own, *self._lines]) + "\n")

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return {
            **inherited,
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-such-file"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "no-such-file.config"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            "RUNNING_UNDER_SYSTEMD": "true",  # then the script becomes the node, and its pid is the node's
        }

    def _tls_lines(self, ca: Path, certificate: Path, key: Path, wanted: bool) -> list[str]:
        text = TLS.format(port=self.tls_port, ca=ca, certificate=certificate, key=key, wanted=str(wanted).lower())
        return text.split("\n")

    def _end(self, how: signal.Signals) -> None:
        node, self._node = self._node, None
        if node is None:
            return
        node.send_signal(how)
        node.send_signal(signal.SIGCONT)
        try:
            node.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait(STOP_TIMEOUT)

    def _wait_until_ready(self, node: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_TIMEOUT
        while node.poll() is None:
            with suppress(OSError, amqp.AMQPError), self._connection():
                return
            if time.monotonic() > give_up:
                raise RuntimeError(f"{self.name} takes no connection within {START_TIMEOUT:g} s:\n{self.log[-3000:]}")
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} ended with {node.returncode}:\n{self.log[-3000:]}")


def _definitions() -> dict[str, Any]:
    """Users, virtual hosts and rights, read by the node when it starts."""
    salt = b"beat"
    hashed = hashlib.sha256(salt + PASSWORD.encode()).digest()

    def user(name: str) -> dict[str, Any]:
        text = base64.b64encode(salt + hashed).decode()
        return {"name": name, "password_hash": text, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}

    def may(name: str, vhost: str, write: str, configure: str = ".*") -> dict[str, str]:
        return {"user": name, "vhost": vhost, "configure": configure, "write": write, "read": ".*"}

    return {
        "users": [user(USER), user(READER)],
        "vhosts": [{"name": VHOST}, {"name": "closed"}],
        "permissions": [may(USER, VHOST, ".*"), may(READER, VHOST, "^$", "^$")],
    }
