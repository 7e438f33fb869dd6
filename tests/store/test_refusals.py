"""What Redis answers when it says no, as an error named by what to do next."""

import pytest
import redis.exceptions as redis_errors

from beatd.errors import AccessDenied, BeatdError, LeaseLost, Unreachable
from beatd.store.refusals import NewerFormat, StoreSpoilt, understand


@pytest.mark.parametrize(
    "reply, kind",
    [
        ("LOADING Redis is loading the dataset in memory", Unreachable),
        ("BUSY Redis is busy running a script", Unreachable),
        ("MASTERDOWN Link with MASTER is down", Unreachable),
        ("CLUSTERDOWN The cluster is down", Unreachable),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Unreachable),
        ("READONLY You can't write against a read only replica.", Unreachable),
        ("OOM command not allowed when used memory > 'maxmemory'.", Unreachable),
        ("MISCONF Redis is configured to save RDB snapshots", Unreachable),
        ("NOREPLICAS Not enough good replicas to write.", Unreachable),
        ("WRONGPASS invalid username-password pair", AccessDenied),
        ("NOAUTH Authentication required.", AccessDenied),
        ("NOPERM this user has no permissions", AccessDenied),
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
    assert understand(redis_errors.ResponseError("ERR unknown command")).message == "ERR unknown command"


@pytest.mark.parametrize(
    "reply, hint",
    [("OOM x", "maxmemory"), ("MISCONF x", "persist"), ("NOREPLICAS x", "replicas"), ("READONLY x", "primary")],
)
def test_what_an_operator_can_mend_comes_with_a_hint(reply: str, hint: str) -> None:
    found = understand(redis_errors.ResponseError(reply))
    assert found.hint is not None
    assert hint in found.hint


@pytest.mark.parametrize(
    "error, kind",
    [
        (redis_errors.AuthenticationError("invalid password"), AccessDenied),
        (redis_errors.NoPermissionError("no permissions to run eval"), AccessDenied),
        (redis_errors.ResponseError("ERR DB index is out of range"), AccessDenied),
        (redis_errors.ConnectionError("Invalid Database"), AccessDenied),
        (redis_errors.ReadOnlyError("You can't write against a read only replica."), Unreachable),
        (redis_errors.OutOfMemoryError("command not allowed"), Unreachable),
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


def test_an_error_without_a_text_is_told_by_its_name() -> None:
    assert understand(TimeoutError()).message == "Redis does not answer: TimeoutError"
