"""What `history` and `status` read, over a connection that may wait: pages of streams merged by time, and counts."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from beatd.client.fields import check_count
from beatd.client.happened import HistoryLine, history_line_of
from beatd.client.hindsight import look_back
from beatd.client.steps import drive
from beatd.core.fire import TaskIds
from beatd.core.overview import judged
from beatd.store.blocking import BlockingLink
from beatd.store.entries import check_text
from beatd.store.history import History
from beatd.store.overview import read_overview


def read_history(link: BlockingLink, name: str | None, limit: int, since: int) -> list[HistoryLine]:
    """The last lines, of one entry or of all, decided at or after an instant (UTC ms); the oldest first."""
    check_count("limit", limit)
    if name is not None:
        check_text("name", name)
    history, ids = History(link, name=name), TaskIds(link.keys.namespace)
    newest = list(islice(history.backwards(since, history.tips()), limit))
    seen = drive(
        look_back(link.keys, newest),
        lambda question: link.exchange(question.commands, tolerant=question.tolerant, again=question.again),
    )
    return [history_line_of(line, ids, seen) for line in reversed(newest)]


def read_status(link: BlockingLink) -> Mapping[str, Any]:
    """All that `beatd status -o json` says."""
    return judged(read_overview(link))
