"""A client of an empty server."""

from collections.abc import Iterator

import pytest

from beatd.client.blocking import Client
from tests.support.servers import RedisServer


@pytest.fixture
def client(clean_redis: RedisServer) -> Iterator[Client]:
    with Client(clean_redis.url) as client:
        yield client
