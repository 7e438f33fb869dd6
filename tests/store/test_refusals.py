"""What Redis answers when it says no, as an error named by what to do next."""

import socket
from pathlib import Path

import pytest
import redis.exceptions as redis_errors

from beatd.errors import AccessDenied, BeatdError, LeaseLost, Unreachable, WritesRefused
from beatd.store import refusals
from beatd.store.refusals import NewerFormat, PermissionMissing, StoreSpoilt, understand


@pytest.mark.parametrize(
    "reply, kind",
    [
        ("LOADING Redis is loading the dataset in memory", Unreachable),
        ("BUSY Redis is busy running a script", Unreachable),
        ("MASTERDOWN Link with MASTER is down", Unreachable),
        ("CLUSTERDOWN The cluster is down", AccessDenied),
        ("TRYAGAIN Multiple keys request during rehashing of slot", AccessDenied),
        ("READONLY You can't write against a read only replica.", WritesRefused),
        ("OOM command not allowed when used memory > 'maxmemory'.", WritesRefused),
        ("MISCONF Redis is configured to save RDB snapshots", WritesRefused),
        ("NOREPLICAS Not enough good replicas to write.", WritesRefused),
        ("WRONGPASS invalid username-password pair", AccessDenied),
        ("NOAUTH Authentication required.", AccessDenied),
        ("NOPERM this user has no permissions", PermissionMissing),
        ("ERR max number of clients reached", Unreachable),
        ("ERR unknown command 'ZMSCORE'", AccessDenied),
        ("ERR SELECT is not allowed in cluster mode", AccessDenied),
        ("CROSSSLOT Keys in request don't hash to the same slot", AccessDenied),
        ("MOVED 3999 127.0.0.1:6381", AccessDenied),
        ("ERR The user executing the script can't run this command or subcommand", PermissionMissing),
        ("ERR ACL failure in script: User bob has no permissions to run the 'lpush' command", PermissionMissing),
        ("ERR Error running script: @user_script: 284: -OOM command not allowed", WritesRefused),
        ("DENIED Redis is running in protected mode", AccessDenied),
        ("FENCED another owner leads", LeaseLost),
        ("FORMAT 2", NewerFormat),
        ("SHARDS 4", NewerFormat),
        ("BADTYPE due is a string", StoreSpoilt),
        ("MALFORMED fire takes 1 to 100 items", StoreSpoilt),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", StoreSpoilt),
        ("", StoreSpoilt),
    ],
)
def test_the_first_word_of_a_refusal_says_what_to_do(reply: str, kind: type[BeatdError]) -> None:
    found = understand(redis_errors.ResponseError(reply))
    assert type(found) is kind


def test_a_word_that_says_what_to_do_is_not_said_again_in_the_text() -> None:
    assert understand(redis_errors.ResponseError("FENCED another owner leads")).message == "another owner leads"
    assert understand(redis_errors.ResponseError("ERR something else")).message == "ERR something else"


def test_a_sentence_says_where_and_what_was_found_without_the_place_in_a_script() -> None:
    text = f"OOM command not allowed when used memory > 'maxmemory'. script: {'a' * 40}, on @user_script:284."
    found = understand(redis_errors.ResponseError(text), "Redis at redis://h:1/0")
    assert found.message == (
        "Redis at redis://h:1/0 is at its maxmemory limit and refuses to write: "
        "command not allowed when used memory > 'maxmemory'."
    )
    assert found.hint == (
        "free memory or raise the limit; nothing was written, and what is due waits; beatd goes on by itself"
    )


@pytest.mark.parametrize(
    "reply, hint",
    [("OOM x", "free memory"), ("MISCONF x", "disk full"), ("NOREPLICAS x", "mend them"), ("READONLY x", "primary")],
)
def test_what_an_operator_can_mend_comes_with_a_hint(reply: str, hint: str) -> None:
    found = understand(redis_errors.ResponseError(reply))
    assert found.hint is not None
    assert hint in found.hint


@pytest.mark.parametrize(
    "error, kind",
    [
        (redis_errors.AuthenticationError("invalid password"), AccessDenied),
        (redis_errors.NoPermissionError("no permissions to run eval"), PermissionMissing),
        (redis_errors.ResponseError("ERR DB index is out of range"), AccessDenied),
        (redis_errors.ConnectionError("Invalid Database"), AccessDenied),
        (redis_errors.ReadOnlyError("You can't write against a read only replica."), WritesRefused),
        (redis_errors.OutOfMemoryError("command not allowed"), WritesRefused),
        (redis_errors.ClusterDownError("The cluster is down"), AccessDenied),
        (redis_errors.MasterDownError("Link with MASTER is down"), Unreachable),
        (redis_errors.ConnectionError("max number of clients reached"), Unreachable),
        (redis_errors.ConnectionError("Connection refused"), Unreachable),
        (redis_errors.TimeoutError("Timeout reading"), Unreachable),
        (redis_errors.BusyLoadingError("Redis is loading"), Unreachable),
        (redis_errors.InvalidResponse("Protocol error"), Unreachable),
        (ConnectionRefusedError(111, "Connection refused"), Unreachable),
        (TimeoutError(), Unreachable),
        (OSError("no route"), Unreachable),
    ],
)
def test_every_error_of_the_library_or_the_socket_is_one_of_ours(error: Exception, kind: type[BeatdError]) -> None:
    found = understand(error)
    assert type(found) is kind
    assert found.message


@pytest.mark.parametrize(
    "error, said",
    [
        (TimeoutError(), "Redis gave no answer in time"),
        (redis_errors.TimeoutError("Timeout reading from socket"), "Redis gave no answer in time"),
        (redis_errors.ConnectionError("Connection closed by server."), "Redis closed the connection"),
        (ConnectionResetError(104, "Connection reset by peer"), "Redis closed the connection"),
        (socket.gaierror(-2, "Name or service not known"), "Redis: the host name does not resolve"),
    ],
)
def test_whatever_a_socket_meets_is_told_in_one_way(error: Exception, said: str) -> None:
    """Else an outage would be told again with each new way in which it shows."""
    assert understand(error).message == said


def test_an_error_without_a_text_is_told_by_its_name() -> None:
    assert understand(OSError()).message == "Redis does not answer: OSError"


def test_every_sentence_stands_in_the_page_on_troubleshooting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    for word, meaning in refusals._MEANINGS.items():
        assert meaning.says in page, word
