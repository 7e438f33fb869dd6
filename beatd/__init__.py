"""beatd decides when, and puts ready-made task messages on worker queues."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beatd.client.aio import AsyncClient as AsyncClient
    from beatd.client.blocking import Client as Client
    from beatd.client.happened import EntryChange as EntryChange
    from beatd.client.happened import HistoryLine as HistoryLine
    from beatd.client.requested import Backfill as Backfill
    from beatd.client.requested import RequestState as RequestState
    from beatd.client.signatures import entry_for as entry_for
    from beatd.client.state import EntryState as EntryState
    from beatd.core.change_set import ChangeSet as ChangeSet
    from beatd.core.schedules import Schedule as Schedule
    from beatd.core.schedules import parse_schedule as parse_schedule

__version__ = "0.1.0"

_PUBLIC = {
    "AsyncClient": "beatd.client.aio",
    "Client": "beatd.client.blocking",
    "entry_for": "beatd.client.signatures",
    "Backfill": "beatd.client.requested",
    "EntryChange": "beatd.client.happened",
    "EntryState": "beatd.client.state",
    "HistoryLine": "beatd.client.happened",
    "RequestState": "beatd.client.requested",
    "ChangeSet": "beatd.core.change_set",
    "Schedule": "beatd.core.schedules",
    "parse_schedule": "beatd.core.schedules",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that ``import beatd`` stays cheap."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'beatd' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
