"""Who changed an entry after a revision, by the newest rows of the change log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from beatd.client.steps import Steps, ask
from beatd.errors import BeatdError
from beatd.store.keys import Keys

ROWS: Final = 100
MOST_PAGES: Final = 5  # a race is lost to somebody who was quick
RUN_STATE: Final = frozenset({"pause", "resume", "reset"})


@dataclass(frozen=True, slots=True)
class Blame:
    """What is known of the edits since a revision. who: by whom the last change of the definition was, '' unknown.

    only_run_state: the rows tell of nothing but pauses, resumes and resets from that revision on. before: the
    definition at that revision, None where the rows don't say it.
    """

    who: str = ""
    only_run_state: bool = False
    before: str | None = None


def blame(keys: Keys, name: str, since: str) -> Steps[Blame]:
    """What the change log says of an entry since a revision; nothing where it may not be read, or no longer says it."""
    rows: list[Mapping[str, str]] = []
    end, complete = "+", False
    for _ in range(MOST_PAGES):
        [found] = yield from ask(("XREVRANGE", keys.key("log"), end, "-", "COUNT", ROWS), tolerant=True)
        if isinstance(found, BeatdError) or not found:
            break
        for _, flat in found:
            row = _row(flat)
            if row.get("name") != name:
                continue
            if complete:  # older than the revision: what it was based on
                if "def" in row:
                    return replace(_blamed(rows, complete=True), before=row["def"])
                continue
            rows.append(row)
            complete = row.get("was", "") == since
        end = f"({found[-1][0].decode()}"
    return _blamed(rows, complete=complete)


def _blamed(rows: Sequence[Mapping[str, str]], *, complete: bool) -> Blame:
    edits = [row for row in rows if row.get("op") not in RUN_STATE]
    return Blame(_author(edits[0]) if edits else "", only_run_state=complete and not edits)


def _row(flat: Sequence[bytes]) -> dict[str, str]:
    texts = [part.decode("utf-8", "surrogateescape") for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _author(row: Mapping[str, str]) -> str:
    """`ann@web-1 (beatd set)`, as far as it is known."""
    try:
        who: Any = json.loads(row.get("who", ""))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(who, dict):
        return ""
    place = "@".join(str(who[key]) for key in ("user", "host") if who.get(key))
    client = f"({who['client']})" if who.get("client") else ""
    return " ".join(filter(None, [place, client]))
