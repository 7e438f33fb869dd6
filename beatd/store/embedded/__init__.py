"""The private server: the persistent Redis or Valkey that beatd runs as its own child when none is configured anywhere.

``.beatd/`` beside the first ``-c`` file holds its data, its log and ``server.json`` {url, pid, binary, version}. It
listens on 127.0.0.1 only, at a port that stays the same from start to start, because workers have it in their URL.

There is no password. Every local user can connect to a loopback port, mode 0700 protects the files only: on a host
shared with people you don't trust, configure a Redis with a password instead. What a stranger can do is limited to
the data: configuration, modules and debugging, by which a server can be made to write files or run code as its user,
are closed (by the servers' own defaults since Redis 7, by taking the commands away before). A password would have
to stand in the URL of every worker and in every command people type, for the sake of hosts where it would also have
to be hidden from process lists; a Redis that is set up by hand is the better answer there.

It is no high availability: the server ends with the daemon that owns it, a second one only takes it over.
"""

from beatd.store.embedded.binary import ServerBinary
from beatd.store.embedded.keeper import Keeper, PrivateServer, find_binary, find_running, private_server

__all__ = ["Keeper", "PrivateServer", "ServerBinary", "find_binary", "find_running", "private_server"]
