"""A client that was used before a fork goes on in parent and child, each with connections of its own."""

import textwrap

from tests.client.test_imports import printed
from tests.support.servers import RedisServer

FORKED = textwrap.dedent("""
    import os, sys
    from beatd import Client
    client = Client(sys.argv[1])
    client.set("parent", task="t", every=60)
    client.set("child", task="t", every=60)
    pid = os.fork()
    me = "parent" if pid else "child"
    for number in range(200):
        state = client.set(me, args=[number])
        assert (state.name, state.definition["args"]) == (me, [number]), state
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        print(sorted((state.name, state.definition["args"]) for state in client.iterate()))
    client.close()
""")


def test_parent_and_child_do_not_mix_their_answers(clean_redis: RedisServer) -> None:
    assert printed(FORKED, clean_redis.url).strip() == "[('child', [199]), ('parent', [199])]"
