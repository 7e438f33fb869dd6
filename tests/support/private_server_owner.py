"""A daemon reduced to its hold on the private server, for tests that kill it: ``private_server_owner.py BASE PORT``.

Prints one JSON line when the server is ready and one for each ``tend`` it reads; anything else it reads ends it. An
interrupt is reported and survived, as a daemon survives it until its lease is released.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from beatd.errors import BeatdError
from beatd.store.embedded import Keeper, PrivateServer


def say(server: PrivateServer) -> None:
    print(json.dumps({"url": server.url, "pid": server.pid, "joined": server.joined}), flush=True)


def say_interrupted(number: int, frame: FrameType | None) -> None:
    """Written past Python's buffer, which the interrupted code may be in the middle of."""
    os.write(1, b'{"interrupted": true}\n')


def main() -> None:
    signal.signal(signal.SIGINT, say_interrupted)
    keeper = Keeper(Path(sys.argv[1]), first_port=int(sys.argv[2]))
    try:
        say(keeper.start())
        while sys.stdin.readline().strip() == "tend":
            say(keeper.tend())
    except BeatdError as error:
        print(json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint}), flush=True)
    finally:
        keeper.stop()


if __name__ == "__main__":
    main()
