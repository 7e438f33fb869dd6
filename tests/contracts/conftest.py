"""A namespace on the shared server, and its leader."""

from collections.abc import Iterator

import pytest

from beatd.core.term import Term
from tests.support.servers import RedisServer
from tests.support.store import Store


@pytest.fixture
def store(clean_redis: RedisServer, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty namespace, given the scripts that the daemon would give this server.

    Parametrized with "plain" or "flagged", it is given that form; servers before Redis 7 know the plain one only.
    """
    store = Store(clean_redis)
    form = getattr(request, "param", None)
    if form == "flagged" and not store.flagged:
        pytest.skip("this server knows no #!lua")
    store.flagged = store.flagged and form != "plain"
    yield store
    store.client.close()


@pytest.fixture
def term(store: Store) -> Term:
    """The term of whoever leads the namespace."""
    return store.lead()
