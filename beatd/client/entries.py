"""Verbs over stored entries: to read them, and the edits that any client may make."""

from collections.abc import Iterable, Mapping, Sequence

from beatd.client.steps import Steps, ask
from beatd.core.edit import ABSENT, ANY, PutItem
from beatd.errors import NotFound
from beatd.store.entries import (
    Pause,
    Row,
    check_pause,
    check_put,
    check_remove,
    names_command,
    pause_call,
    put_call,
    put_steps,
    remove_call,
    reset_call,
    resume_call,
    row_commands,
    rows_of,
)
from beatd.store.keys import Keys
from beatd.store.spoilt import whole

PAGE = 500


def now_ms() -> Steps[int]:
    """The clock of Redis, UTC ms."""
    [(seconds, micros)] = yield from ask(("TIME",))
    return int(seconds) * 1000 + int(micros) // 1000


def names(keys: Keys, cursor: bytes) -> Steps[tuple[bytes, list[str]]]:
    """One page of all names, in no order, and the next cursor; b"0" begins and ends."""
    [(after, flat)] = yield from ask(names_command(keys, cursor, PAGE))
    return after, [raw.decode("utf-8", "surrogateescape") for raw in flat[::2]]


def page(keys: Keys, cursor: bytes) -> Steps[tuple[bytes, list[Row]]]:
    """One page of all entries, in no order, and the next cursor; b"0" begins and ends."""
    after, found = yield from names(keys, cursor)
    return after, (yield from rows(keys, found))


def rows(keys: Keys, names: Sequence[str]) -> Steps[list[Row]]:
    """Those of some names that are entries."""
    return rows_of(names, (yield from ask(*row_commands(keys, names)))) if names else []


def find(keys: Keys, name: str) -> Steps[Row | None]:
    """One entry, or None."""
    found = yield from rows(keys, [name])
    return found[0] if found else None


def not_found(name: str) -> NotFound:
    """That there is no entry of a name."""
    return NotFound(f"there is no entry {name!r}", hint="beatd ls shows the names")


def get(keys: Keys, name: str) -> Steps[Row]:
    """One entry. Raises NotFound."""
    row = yield from find(keys, name)
    if row is None:
        raise not_found(name)
    return row


def runs_left(keys: Keys, name: str) -> Steps[int | None]:
    """How many runs `max_runs` still allows; None where they are not counted."""
    [left] = yield from ask(("HGET", keys.key("left"), name))
    return whole(left)


def put(keys: Keys, items: Iterable[PutItem], who: str) -> Steps[None]:
    """Writes entries, all or nothing within a step. Raises Refused."""
    for step in put_steps(list(items)):
        based = all(item.expected not in (ANY, ABSENT) for item in step)
        [(codes, _)] = yield from ask(put_call(keys, step, who), again=based)
        check_put(step, codes)


def remove(keys: Keys, names: Sequence[str], who: str, expected: Sequence[str] | None = None) -> Steps[None]:
    """Removes entries, those at these revisions where they are given. Raises Refused or NotFound."""
    [(codes, _)] = yield from ask(remove_call(keys, names, who, expected), again=expected is not None)
    check_remove(names, codes)


def pause(keys: Keys, names: Sequence[str], nonce: str, who: str, wanted: Pause) -> Steps[None]:
    """Pauses entries under a fresh nonce, all or nothing. Raises Refused or NotFound."""
    [(codes, _)] = yield from ask(pause_call(keys, names, nonce, who, wanted), again=False)
    check_pause(names, codes)


def resume(keys: Keys, names: Sequence[str], nonce: str, who: str, *, catchup: bool) -> Steps[list[str]]:
    """Lifts pauses under a fresh nonce, all or nothing; the names of those that were paused. Raises NotFound."""
    [(codes, _)] = yield from ask(resume_call(keys, names, nonce, who, catchup=catchup), again=False)
    check_pause(names, codes)
    return [name for name, code in zip(names, codes.decode(), strict=True) if code == "0"]


def reset(keys: Keys, runs: Mapping[str, int], nonce: str, who: str) -> Steps[None]:
    """Gives entries their runs anew under a fresh nonce, all or nothing. Raises Refused or NotFound."""
    [(codes, _)] = yield from ask(reset_call(keys, runs, nonce, who), again=False)
    check_pause(list(runs), codes)
