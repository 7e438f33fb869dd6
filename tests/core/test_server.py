"""What a Redis server must be for beatd, and what an operator is told about it."""

from dataclasses import replace

import pytest

from beatd.core.server import ServerFacts, check_usable, risks_of, unknown_of
from beatd.errors import AccessDenied

SAFE = ServerFacts("run", "7.0.15", cluster=False, policy="noeviction", append_only=True, saves="")


def with_facts(**changed: object) -> ServerFacts:
    return replace(SAFE, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["2.8.0", "5.0.14", "6.0.16", "unstable"])
def test_a_version_that_is_too_old_is_refused_with_the_one_that_is_needed(version: str) -> None:
    with pytest.raises(AccessDenied) as refused:
        check_usable(with_facts(version=version), "Redis at x")
    assert refused.value.message == f"Redis at x is Redis {version}; Redis 6.2 or Valkey 7.2 or later is accepted"


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "7.2.4", "8.2.1", "10.0.0", None])
def test_a_version_that_is_new_enough_or_not_told_is_used(version: str | None) -> None:
    check_usable(with_facts(version=version), "Redis at x")


def test_a_cluster_is_refused() -> None:
    with pytest.raises(AccessDenied, match="is a Redis Cluster; a single server"):
        check_usable(with_facts(cluster=True), "Redis at x")


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"policy": "allkeys-lru"}, ["maxmemory-policy is allkeys-lru: at its memory limit Redis throws away entries"]),
        ({"policy": "volatile-ttl"}, ["maxmemory-policy is volatile-ttl: Redis throws away keys with a time to live"]),
        ({"append_only": False}, ["Redis keeps nothing on disk"]),
        ({"append_only": False, "saves": "3600 1"}, []),
        ({"ahead_ms": 3_600_000}, ["the clock of Redis is 3,600 s ahead of the clock of this host"]),
        ({"ahead_ms": -3_600_000}, ["the clock of Redis is 3,600 s behind the clock of this host"]),
        ({"ahead_ms": 4_900}, []),
        ({"lacks": ("xadd", "publish")}, ["the user may not run xadd, publish"]),
        ({"policy": None, "append_only": None, "saves": None}, []),
        ({"policy": "allkeys-lru", "append_only": False}, ["maxmemory-policy", "Redis keeps nothing on disk"]),
    ],
)
def test_what_an_operator_should_know_is_told(changed: dict[str, object], said: list[str]) -> None:
    found = [risk.text for risk in risks_of(with_facts(**changed))]
    assert len(found) == len(said)
    for text, start in zip(found, said, strict=True):
        assert text.startswith(start)


def test_strict_minds_what_can_lose_data_and_nothing_else() -> None:
    facts = with_facts(policy="allkeys-lru", append_only=False, ahead_ms=10**6, lacks=("xadd",))
    assert [risk.strict for risk in risks_of(facts)] == [True, True, False, False]


@pytest.mark.parametrize(
    "changed, unread",
    [
        ({}, None),
        ({"saves": None}, None),
        ({"saves": None, "append_only": False}, "save"),
        ({"policy": None, "append_only": None, "saves": None}, "maxmemory-policy, appendonly, save"),
    ],
)
def test_what_could_not_be_read_is_said(changed: dict[str, object], unread: str | None) -> None:
    assert unknown_of(with_facts(**changed)) == (unread and f"may not be read, so not checked: {unread}")
