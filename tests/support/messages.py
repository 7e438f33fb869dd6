"""An entry's messages as the leader renders them, in one step."""

from dataclasses import dataclass

from beatd.core.entry import Entry
from beatd.core.fire import Template
from beatd.formats.celery import compile_template


@dataclass(frozen=True)
class Messages:
    """The messages of one entry."""

    template: Template
    own: str

    @property
    def queue_key(self) -> str:
        """The list that they are pushed to."""
        return self.template.queue_key

    @property
    def longest(self) -> int:
        """None has more bytes."""
        return self.template.longest(self.own)

    def render(self, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        """The message of one slot."""
        return self.template.render(self.own, task_id, slot_ms, delivery_tag)


def messages_of(entry: Entry, origin: str = "gen1@tests") -> Messages:
    """Celery's messages of an entry. Raises EntryInvalid."""
    template = compile_template(entry.task, entry.queue, entry.sent_options, origin=origin)
    return Messages(template, template.own(entry.name, entry.args, entry.kwargs))
