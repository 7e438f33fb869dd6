"""A namespace on the shared server, and its leader."""

from collections.abc import Iterator

import pytest

from beatd.core.term import Term
from tests.support.servers import RedisServer
from tests.support.store import Store


@pytest.fixture
def store(clean_redis: RedisServer, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty namespace; parametrized with "plain", its scripts are those for servers before Redis 7."""
    store = Store(clean_redis, flagged=getattr(request, "param", "flagged") == "flagged")
    yield store
    store.client.close()


@pytest.fixture
def term(store: Store) -> Term:
    """The term of whoever leads the namespace."""
    return store.lead()
