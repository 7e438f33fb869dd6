"""A primary with a replica, watched by real Sentinels: what a failover needs, on free loopback ports."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import redis

from tests.support.ledger import RECORD, Enqueued, read_message
from tests.support.scenes import wait_until
from tests.support.servers import RedisServer, free_port

NAME: Final = "mymaster"
DOWN_AFTER_MS: Final = 1_000


class Sentinel(RedisServer):
    """One Sentinel. ``watched``: the port of the primary as it begins. Options are lines of sentinel.conf."""

    def __init__(
        self, binary: Path, folder: Path, watched: int, options: Mapping[str, str] | None = None, *, quorum: int
    ) -> None:
        super().__init__(binary, folder, options)
        self._watched = watched
        self._quorum = quorum

    def command(self) -> list[str]:
        """Its own file, which it rewrites; once there, it knows more than we do."""
        path = self.folder / "sentinel.conf"
        if not path.exists():
            lines = [
                *(f"{key} {value}" for key, value in self.options.items() if key not in {"save", "appendonly"}),
                f"port {self.port}",
                f"dir {self.folder}",
                f"logfile {self.folder / 'server.log'}",
                f"sentinel monitor {NAME} 127.0.0.1 {self._watched} {self._quorum}",
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {NAME} 4000",
            ]
            path.write_text("\n".join(lines) + "\n")
        return [str(self.binary), str(path), "--sentinel"]


class Watched:
    """Sentinels, a primary and its replica. Started when made; ``close`` ends all of it. ``tls``: the Sentinels name
    the port with TLS, and have one themselves.
    """

    def __init__(
        self,
        binary: Path,
        folder: Path,
        options: Mapping[str, str] | None = None,
        sentinel_options: Mapping[str, str] | None = None,
        *,
        replicas: int = 1,
        sentinels: int = 3,
        tls: bool = False,
    ) -> None:
        common = {"repl-diskless-sync-delay": "0", **(options or {})}
        self.primary = RedisServer(binary, folder / "primary", common)
        self.servers = [self.primary]
        self.sentinels: list[Sentinel] = []
        try:
            self.primary.start()
            for number in range(replicas):
                more = {**common, "replicaof": f"127.0.0.1 {self.primary.port}"}
                replica = RedisServer(binary, folder / f"replica-{number}", more)
                self.servers.append(replica)
                replica.start()
            port = int(self.primary.options["tls-port"]) if tls else self.primary.port
            for number in range(sentinels):
                own = {
                    **(sentinel_options or {}),
                    **({"tls-port": str(free_port()), "tls-replication": "yes"} if tls else {}),
                }
                sentinel = Sentinel(binary, folder / f"sentinel-{number}", port, own, quorum=1 + sentinels // 2)
                self.sentinels.append(sentinel)
                sentinel.start()
            wait_until(self.ready)
        except BaseException:
            self.close()
            raise

    @property
    def replica(self) -> RedisServer:
        return self.servers[1]

    @property
    def url(self) -> str:
        """As beatd is given it."""
        return self.url_of(*(sentinel.port for sentinel in self.sentinels))

    @staticmethod
    def url_of(*ports: int, login: str = "", query: str = "") -> str:
        """With some of the Sentinels only, or others."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"redis+sentinel://{login}{hosts}/{NAME}{query}"

    def ready(self) -> bool:
        """Whether the replicas are in step, and every Sentinel knows them and each other."""
        for server in self.servers[1:]:
            with server.client() as client:
                if client.info("replication")["master_link_status"] != "up":
                    return False
        for sentinel in self.sentinels:
            with sentinel.client(protocol=2) as client:
                client.response_callbacks.clear()
                found: Any = client.execute_command("SENTINEL", "MASTER", NAME)
                told = dict(zip(found[::2], found[1::2], strict=True))
                if (int(told[b"num-slaves"]), int(told[b"num-other-sentinels"])) != (
                    len(self.servers) - 1,
                    len(self.sentinels) - 1,
                ):
                    return False
        return True

    def is_promoted(self, server: RedisServer) -> bool:
        """Whether a server is the primary by its own word."""
        with suppress(redis.ConnectionError), server.client() as client:  # Sentinel cuts connections on the way
            return bool(client.info("replication")["role"] == "master")
        return False

    def close(self) -> None:
        for server in [*self.sentinels, *self.servers]:
            server.kill()


def enqueued(client: "redis.Redis", queue: str = "celery") -> list[Enqueued]:
    """All that a dataset holds of a queue: what waits, and what a ledger has taken, oldest first."""
    found = [*client.lrange(queue, 0, -1), *client.lrange(RECORD + queue, 0, -1)]
    return [read_message(cast(bytes, raw), None) for raw in reversed(found)]
