"""Who changed an entry after a revision, by the newest rows of the change log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from beatd.client.steps import Steps, ask
from beatd.core.change_log import Change, change_of
from beatd.errors import BeatdError
from beatd.store.keys import Keys

ROWS: Final = 100
MOST_PAGES: Final = 5  # a race is lost to somebody who was quick


@dataclass(frozen=True, slots=True)
class Blame:
    """What is known of the edits since a revision. who: by whom the last change of the definition was, '' unknown.

    known: whether the rows tell what came after that revision; not so of one that never was, or is long gone.
    only_run_state: they tell of nothing but pauses, resumes and resets from it on. before: the definition at that
    revision, None where the rows don't say it.
    """

    who: str = ""
    known: bool = False
    only_run_state: bool = False
    before: bytes | None = None


def blame(keys: Keys, name: str, since: str) -> Steps[Blame]:
    """What the change log says of an entry since a revision; nothing where it may not be read, or no longer says it."""
    changes: list[Change] = []
    end, complete = "+", False
    for _ in range(MOST_PAGES):
        [found] = yield from ask(("XREVRANGE", keys.key("log"), end, "-", "COUNT", ROWS), tolerant=True)
        if isinstance(found, BeatdError) or not found:
            break
        for _, flat in found:
            change = change_of(0, dict(zip(flat[::2], flat[1::2], strict=True)))
            if change is None or change.name != name:
                continue
            if not complete:
                changes.append(change)
                complete = change.was == since and change.op != "request"
            elif change.definition is not None:  # older than the revision: what that one was
                return replace(_blamed(changes, complete=True), before=change.definition)
        end = f"({found[-1][0].decode()}"
    return _blamed(changes, complete=complete)


def _blamed(changes: Sequence[Change], *, complete: bool) -> Blame:
    edits = [change for change in changes if change.op in ("put", "remove")]
    return Blame(_author(edits[0]) if edits else "", known=complete, only_run_state=complete and not edits)


def _author(change: Change) -> str:
    """`ann@web-1 (beatd set)`, as far as it is known."""
    who = change.who
    place = "@".join(str(who[key]) for key in ("user", "host") if who.get(key))
    return " ".join(filter(None, [place, f"({who['client']})" if who.get("client") else ""]))
