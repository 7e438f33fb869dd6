"""Whole sets of definitions: what storing them would do, doing it in steps, and reading them out again.

Nothing is written unless all of it may be. Each step is all or nothing, and based on the revisions that were read: who
changed a definition meanwhile is not overwritten. A repeat after a crash finds what is done, and goes on.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from beatd.client.name_sources import SCANNED, hash_names, text_of
from beatd.client.ownership import places
from beatd.client.steps import Steps, ask
from beatd.core.change_set import FILE, Change, ChangeSet, Comparison, Held
from beatd.core.edit import PutItem, put_item, runs_left
from beatd.core.entry import entry_from_definition, entry_from_stored, spec_from_definition
from beatd.core.field_changes import field_changes
from beatd.core.listing import Wanted
from beatd.errors import BeatdError, Conflict, OtherOwner, Refused
from beatd.store.entries import MOST_ITEMS, check_put, put_call, put_steps, remove_call
from beatd.store.keys import Keys
from beatd.store.refusals import ConnectionClosed
from beatd.store.spoilt import whole

Fresh = Callable[[], str]
PAGE: Final = 500
MOST_NAMED: Final = 5
MOST_TRIES: Final = 10  # somebody would have to pause and resume as fast as we can write


def held(keys: Keys, names: Sequence[str]) -> Steps[dict[str, Held]]:
    """What is stored under some names, each as of one moment: what is edited between two of the reads is read again."""
    found: dict[str, Held] = {}
    rest = list(names)
    for _ in range(MOST_TRIES):
        kinds = ("rev", "def", "file", "rev")
        columns = yield from ask(*(("HMGET", keys.key(kind), *rest) for kind in kinds))
        torn = []
        for name, rev, definition, file, after in zip(rest, *columns, strict=True):
            if rev != after:
                torn.append(name)
            elif rev is not None:
                found[name] = Held(rev.decode(errors="replace"), definition or b"", file is not None)
        rest = torn
        if not rest:
            return found
    raise Refused(f"{rest[0]!r} changes faster than it can be read", hint="repeat it later")


def definitions(keys: Keys, names: Sequence[str]) -> Steps[dict[str, bytes]]:
    """The stored definitions of those that are stored."""
    found: dict[str, bytes] = {}
    for page in _pages(names):
        found.update({name: each.definition for name, each in (yield from held(keys, page)).items()})
    return found


def plan(
    keys: Keys, wanted: Mapping[str, str], owner: str, *, prune: bool = False, take_over: bool = False
) -> Steps[ChangeSet]:
    """What storing definitions by name for an owner would do. prune: what the owner has besides goes.

    take_over: of names that other labels, or the API, hold; never of a file's.
    """
    comparison = Comparison(owner, take_over=take_over)
    for page in _pages(wanted):
        found = yield from held(keys, page)
        for name in page:
            comparison.take(name, wanted[name], found.get(name))
    if prune:
        yield from _unwanted(keys, wanted, comparison)
    return comparison.result()


def _unwanted(keys: Keys, wanted: Mapping[str, str], comparison: Comparison) -> Steps[None]:
    seen: set[str] = set()
    cursor = b"0"
    while True:
        [(cursor, flat)] = yield from ask(("HSCAN", keys.key("rev"), cursor, "COUNT", SCANNED))
        names = dict.fromkeys(map(text_of, flat[::2]))
        others = [name for name in names if name not in wanted and name not in seen]
        seen.update(others)
        for page in _pages(others):
            for name, found in (yield from held(keys, page)).items():
                comparison.unwanted(name, found)
        if cursor == b"0":
            return


def check_conflicts(keys: Keys, changes: ChangeSet) -> Steps[None]:
    """Raises OtherOwner where names are held by others."""
    if not changes.conflicts:
        return
    first, number = changes.conflicts[0], len(changes.conflicts)
    named = [f"{each.name!r} ({each.owner})" for each in changes.conflicts[:MOST_NAMED]]
    more = [f"{number - MOST_NAMED} more"] if number > MOST_NAMED else []
    what = "1 name belongs" if number == 1 else f"{number} names belong"
    files: list[str] = []
    if any(each.owner == FILE for each in changes.conflicts):
        files = yield from places(keys)
    where = f"; the file is {', '.join(files)}" if files else ""
    owners = {each.owner for each in changes.conflicts}
    hint = "take them out here, or change them in the file" if FILE in owners else "--take-over makes them yours"
    message = f"{what} to others, and nothing was written: {', '.join([*named, *more])}{where}"
    raise OtherOwner(message, name=first.name, owner=first.owner, hint=hint)


def apply(keys: Keys, changes: ChangeSet, fresh: Fresh, who: str) -> Steps[None]:
    """Makes the changes, puts before removes. Raises OtherOwner before anything is written, Conflict for a lost race.

    ``fresh`` gives nonces.
    """
    yield from check_conflicts(keys, changes)
    puts = [change for change in changes.changes if change.op != "remove"]
    removes = [change for change in changes.changes if change.op == "remove"]
    for step in _put_parts(puts):
        yield from _repeated(keys, step, lambda part: _put(keys, part, fresh, who))
    for start in range(0, len(removes), MOST_ITEMS):
        yield from _repeated(keys, removes[start : start + MOST_ITEMS], lambda part: _remove(keys, part, who))


def _put_parts(puts: Sequence[Change]) -> Iterator[list[Change]]:
    """As many in one call as it may carry."""
    by_name = {change.name: change for change in puts}
    bare = [PutItem(each.name, "", "", each.definition, 0, "", True, replaces=each.replaces) for each in puts]
    for step in put_steps(bare):
        yield [by_name[item.name] for item in step]


def _repeated(keys: Keys, step: Sequence[Change], write: Callable[[Sequence[Change]], Steps[bool]]) -> Steps[None]:
    """One step, made again on what is there now where nothing but run state changed meanwhile."""
    for _ in range(MOST_TRIES):
        if not step or (yield from write(step)):
            return
        step = yield from _based_anew(keys, step)
    raise Refused(f"{step[0].name!r} changes faster than it can be written", hint="repeat it later: it goes on")


def _put(keys: Keys, step: Sequence[Change], fresh: Fresh, who: str) -> Steps[bool]:
    counted = {each.name: each.replaces or each.name for each in step if b'"max_runs"' in each.definition.encode()}
    lefts: dict[str, int | None] = {}
    if counted:
        [found] = yield from ask(("HMGET", keys.key("left"), *counted.values()))
        lefts = dict(zip(counted, map(whole, found), strict=True))
    items = [_item(change, fresh(), lefts.get(change.name)) for change in step]
    try:
        [(codes, _)] = yield from ask(put_call(keys, items, who), again=False)
    except ConnectionClosed:  # it may have been done, and others may have come after it
        return False
    if b"2" in codes:
        return False
    check_put(items, codes)
    return True


def _item(change: Change, nonce: str, left: int | None) -> PutItem:
    entry = entry_from_definition(change.name, change.definition)
    if change.op == "rename" and change.before is not None:
        runs = "" if entry.policy.max_runs is None else str(entry.policy.max_runs if left is None else left)
        return put_item(
            entry,
            nonce,
            expected=change.expected,
            left=runs,
            replaces=change.replaces,
            replaces_rev=change.before.rev,
        )
    before = None
    if change.before is not None:
        with suppress(BeatdError):
            before = entry_from_definition(change.name, change.before.definition)
    return put_item(entry, nonce, expected=change.expected, left=runs_left(before, entry, left))


def _remove(keys: Keys, step: Sequence[Change], who: str) -> Steps[bool]:
    call = remove_call(keys, [change.name for change in step], who, [change.expected for change in step])
    [(codes, _)] = yield from ask(call)
    return b"2" not in codes


def _based_anew(keys: Keys, step: Sequence[Change]) -> Steps[list[Change]]:
    """What of a step is still to be done, on the revisions that are there now. Raises Conflict."""
    names = list(dict.fromkeys(name for change in step for name in (change.name, change.replaces) if name))
    found: dict[str, Held] = {}
    for page in _pages(names):
        found |= yield from held(keys, page)
    left, lost = [], []
    for change in step:
        if _is_done(change, found):
            continue
        again = _anew(change, found)
        if again is None:
            lost.append(change)
        else:
            left.append(again)
    if lost:
        raise _conflict(lost, found)
    return left


def _is_done(change: Change, found: Mapping[str, Held]) -> bool:
    now = found.get(change.name)
    if change.op == "remove":
        return now is None
    done = now is not None and now.definition == change.definition.encode() and not now.of_file
    return done and change.replaces not in found


def _anew(change: Change, found: Mapping[str, Held]) -> Change | None:
    """The same change of what is there now; None where another definition is."""
    now = found.get(change.replaces or change.name)
    if change.op == "rename" and change.name in found:
        return None
    if change.before is None or now is None:
        return change if change.before is now else None
    same = now.definition == change.before.definition and now.of_file == change.before.of_file
    return Change(change.op, change.name, change.definition, now, change.replaces) if same else None


def _conflict(lost: Sequence[Change], found: Mapping[str, Held]) -> Conflict:
    names = [repr(change.name) for change in lost[:MOST_NAMED]]
    more = [f"{len(lost) - MOST_NAMED} more"] if len(lost) > MOST_NAMED else []
    first = lost[0]
    now = found.get(first.name)
    before = {} if first.before is None else first.before.fields
    return Conflict(
        f"somebody changed {', '.join([*names, *more])} meanwhile; that step was not written, the ones before it were",
        name=first.name,
        revision="" if now is None else now.rev,
        changes=field_changes(before, {} if now is None else now.fields),
        hint="look at the difference again, and repeat it: it goes on with what is left",
    )


class Export:
    """Stored definitions as they can be applied again, by name: without owner.

    ``begin`` first, then ``page`` until it gives None. left_out: name -> why it can't be read. unknown: with the fields
    that only another version knows; strange: how many entries have such.
    """

    def __init__(
        self, keys: Keys, patterns: Sequence[str] = (), owners: Sequence[str] = (), *, unknown: bool = False
    ) -> None:
        self.left_out: dict[str, str] = {}
        self.strange = 0
        self._with_unknown = unknown
        self._keys = keys
        self._wanted = Wanted(patterns=patterns, owners=owners)
        self._names: Iterator[list[str]] = iter(())

    def begin(self) -> Steps[None]:
        """Reads the names."""
        names = self._wanted.names
        if names is None:
            names = yield from hash_names(self._keys.key("rev"))
        self._names = _pages([name for name in sorted(names) if self._wanted.admits_name(name)])

    def page(self) -> Steps[list[tuple[str, dict[str, Any]]] | None]:
        """The next names with their fields; None at the end."""
        names = next(self._names, None)
        if names is None:
            return None
        found = yield from held(self._keys, names)
        read = ((name, self._fields(name, each)) for name, each in found.items())
        return [(name, fields) for name, fields in read if fields is not None]

    def _fields(self, name: str, found: Held) -> dict[str, Any] | None:
        if not self._wanted.admits_definition(found.fields, found.owner):
            return None
        try:
            spec = spec_from_definition(found.definition)
            entry = entry_from_stored(name, spec)
        except BeatdError as error:
            self.left_out[name] = error.message
            return None
        self.strange += bool(entry.extra)
        gone = {"owner"} if self._with_unknown else {"owner", *entry.extra}
        return {key: value for key, value in spec.items() if key not in gone}


def _pages(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while page := list(islice(rest, PAGE)):
        yield page
