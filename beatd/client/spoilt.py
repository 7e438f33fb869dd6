"""What Redis says of a key that another client has overwritten, in words that name the key and what to do."""

from typing import TypeVar

from beatd.client.steps import Steps, ask
from beatd.errors import BeatdError
from beatd.store.key_types import spoilt_of, types_commands
from beatd.store.keys import Keys
from beatd.store.refusals import StoreSpoilt

T = TypeVar("T")


def in_our_words(keys: Keys, steps: Steps[T]) -> Steps[T]:
    """A verb that raises StoreSpoilt naming the keys that are not what beatd keeps there."""
    try:
        return (yield from steps)
    except StoreSpoilt as error:
        found = yield from ask(*types_commands(keys), tolerant=True)
        spoilt = [] if any(isinstance(reply, BeatdError) for reply in found) else list(spoilt_of(keys, found).values())
        if not spoilt:
            raise
        raise StoreSpoilt("; ".join(spoilt)) from error
