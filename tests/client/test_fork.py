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

BUSY = textwrap.dedent("""
    import os, signal, sys, threading
    from beatd import Client
    client = Client(sys.argv[1])
    client.set("busy", task="t", every=60)
    idle = threading.Event()

    def keep_busy():
        while not idle.is_set():
            client.get("busy")

    threads = [threading.Thread(target=keep_busy, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        pid = os.fork()
        if not pid:
            signal.alarm(10)
            client.get("busy")
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    idle.set()
    for thread in threads:
        thread.join()
    client.close()
    print("all went on")
""")


def test_parent_and_child_do_not_mix_their_answers(clean_redis: RedisServer) -> None:
    assert printed(FORKED, clean_redis.url).strip() == "[('child', [199]), ('parent', [199])]"


def test_a_child_forked_while_other_threads_use_the_client_goes_on(clean_redis: RedisServer) -> None:
    assert printed(BUSY, clean_redis.url).strip() == "all went on"
