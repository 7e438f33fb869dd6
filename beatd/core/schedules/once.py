"""``at``: one slot."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from beatd.core.instant import Moment, instant_text, read_moment
from beatd.core.schedules.explanation import Detail, Explanation
from beatd.core.schedules.rule import Kind, Request, Rule


@dataclass(frozen=True, slots=True)
class Once(Rule):
    """A single instant."""

    moment: Moment

    kind: ClassVar[str] = "at"

    def next_ms(self, after: int) -> int | None:
        return self.moment.ms if after < self.moment.ms else None

    def last_ms(self, until: int) -> int | None:
        return self.moment.ms if until >= self.moment.ms else None

    def spec(self) -> dict[str, Any]:
        return {"at": self.moment.text}

    def words(self) -> str:
        return f"once, at {self.moment.text.replace('T', ' ')}"

    def explain(self) -> Explanation:
        text, instant = self.moment.text, instant_text(self.moment.ms)
        meaning = "an instant" if text == instant else f"wall time in the zone: {instant}"
        return Explanation(
            (Detail("at", text, meaning),), "one instant: a wall time that the clock skips is the gap's end"
        )


def _read(request: Request) -> Rule:
    return Once(read_moment("at", request.spec["at"], request.zone))


KIND: Final = Kind("at", frozenset(), _read)
