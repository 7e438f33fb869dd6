"""What Redis answers when it says no, as an error named by what to do next."""

from typing import Final

import redis.exceptions as redis_errors

from beatd.errors import AccessDenied, BeatdError, LeaseLost, Refused, Unreachable


class NewerFormat(Refused):
    """What is stored has another format than this program speaks."""

    code = "format"


class StoreSpoilt(Refused):
    """One of beatd's keys, or the whole layout, is not what beatd keeps there."""

    code = "store_spoilt"


# The first word of an error reply -> what it means. Words of Redis first, then those of our scripts.
_BY_WORD: Final[dict[str, type[BeatdError]]] = {
    **dict.fromkeys(("WRONGPASS", "NOAUTH", "NOPERM", "DENIED"), AccessDenied),
    **dict.fromkeys(("LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "READONLY"), Unreachable),
    **dict.fromkeys(("OOM", "MISCONF", "NOREPLICAS"), Unreachable),
    "FENCED": LeaseLost,
    "FORMAT": NewerFormat,
    "SHARDS": NewerFormat,
    "BADTYPE": StoreSpoilt,
    "MALFORMED": StoreSpoilt,
}
_HINTS: Final = {
    "OOM": "Redis is at its maxmemory limit: free memory or raise the limit; nothing was written",
    "MISCONF": "Redis can't persist (disk full?): see its log; nothing was written",
    "NOREPLICAS": "Redis has fewer replicas than min-replicas-to-write asks for; nothing was written",
    "READONLY": "this server is a replica: point beatd at the primary, or at Sentinel",
}


def understand(error: Exception) -> BeatdError:
    """An error of redis-py or of the socket as one of ours; never raises."""
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.NoPermissionError):
        return AccessDenied(f"Redis refuses access: {error}", hint="check the user, the password and its rights (ACL)")
    if "DB index" in str(error) or "Invalid Database" in str(error):
        return AccessDenied(f"Redis has no such database: {error}", hint="the number after the last / of the URL")
    if isinstance(error, redis_errors.ReadOnlyError):
        return Unreachable(f"Redis refuses to write: {error}", hint=_HINTS["READONLY"])
    if isinstance(error, redis_errors.OutOfMemoryError):
        return Unreachable(f"Redis refuses to write: {error}", hint=_HINTS["OOM"])
    if isinstance(error, redis_errors.ResponseError):
        word = str(error).split(" ", 1)[0]
        kind = _BY_WORD.get(word, StoreSpoilt)
        text = str(error).removeprefix(f"{word} ") if word in _BY_WORD else str(error)
        return kind(text, hint=_HINTS.get(word))
    return Unreachable(f"Redis does not answer: {str(error) or type(error).__name__}")
