"""Rules of the outbox, each taken away once: worlds with a broker must notice."""

from dataclasses import replace
from typing import Any

import pytest

from beatd.core.outbox import Outbox
from beatd.core.outbox_room import Queues
from beatd.daemon.outbox import OutboxService
from tests.sim.cluster import Scenario, World, scenario
from tests.sim.test_mutations import Apply, Mutation, lua, python, several

MOST_WORLDS = 150
BROKERS = range(2, 3 * MOST_WORLDS, 3)  # the seeds of such worlds


def carry(old: str, new: str, *more: str) -> Apply:
    """A change in how one window is carried."""
    return python(OutboxService, "_carry", old, new, *more)


def loud(world: Scenario, **changes: Any) -> Scenario:
    """A short world in which little goes wrong but what is named, and that often."""
    return replace(
        world,
        **{"quiet": False, "seconds": 25.0, "foreign": False, "faulty": False, "fault_rate": 0.0, **changes},
    )


def _standing_still(world: Scenario) -> Scenario:
    """Processes stand still while their writes wait for room."""
    faults = {"faults": ("freeze",), "fault_every": 0.7, "broker_faults": ("stall",), "broker_fault_every": 0.7}
    return loud(world, instances=2, ttl=1.5, entries=12, edit_every=3.0, **faults)


def _going_back(world: Scenario) -> Scenario:
    """The dataset goes back again and again, and a broker takes its time to confirm."""
    faults = {"faults": ("roll_back",), "fault_every": 0.3, "broker_fault_every": 1e9}
    return loud(world, instances=1, entries=6, edit_every=5.0, broker_slowest=0.3, **faults)


def _dying(world: Scenario) -> Scenario:
    """Leaders die with messages on their way."""
    faults = {"faults": ("kill",), "fault_every": 1.0, "broker_fault_every": 1e9}
    return loud(world, instances=2, ttl=1.5, entries=12, edit_every=3.0, broker_slowest=0.2, **faults)


def _missing(world: Scenario) -> Scenario:
    """One queue after another is missing for long."""
    sizes = {key: {"MOST_OF_ONE_BAD_QUEUE": 3, "MOST_INTENTS": 30}.get(key[1], n) for key, n in world.sizes.items()}
    faults = {"fault_every": 1e9, "broker_faults": ("lose_queue",), "broker_fault_every": 1.0}
    return loud(world, seconds=40.0, slowest=0.001, instances=1, entries=12, edit_every=5.0, sizes=sizes, **faults)


TAKES_BACK = ("withdraw_intents(intents[name]", "withdraw_intents(nil")
NO_ROW = "local _ = (function() end)(K_skip"

RULES = [
    Mutation(
        "what was taken back is not sent",
        carry("standing = await port.standing(taken)", "standing = [True] * len(taken)"),
    ),
    Mutation(
        "nothing is written once the trust in the lease is over",
        carry("publish(going, self._trusted())", "publish(going, float('inf'))"),
        _standing_still,
    ),
    Mutation(
        "nothing is done before the broker has confirmed it",
        carry("outcomes = await", "await port.done(going)\n    outcomes = await"),
    ),
    Mutation(
        "an id that came again is not done for the one before",
        lua("done", "local is_it = task_id == ARGV[TASK_ID + i]", "local is_it = task_id ~= nil"),
        _going_back,
    ),
    Mutation(
        "a term begins with what is stored",
        python(OutboxService, "_load", "self.box.add(page, self._carrier.confirmed)", "pass"),
    ),
    Mutation(
        "an entry's messages go in their order",
        python(Outbox, "_take_in", "key=lambda item: item.order", "key=lambda item: (-item.order[0], -item.order[1])"),
    ),
    Mutation(
        "what is sent at most once is marked before",
        carry("if once := [", "if False and [", "may_go.get(intent, True)", "True"),
    ),
    Mutation(
        "what was marked is not sent again",
        several(
            python(Outbox, "add", "if intent.draft.sent and", "if False and"),
            lua("done", "^(.*\\31%d*\\31)1(", "^(.*\\31%d*\\31)[12]("),
        ),
        _dying,
    ),
    Mutation(
        "the outbox is bounded",
        python(Queues, "_share", "return max(min(by_count, by_size), int(least))", "return 1000"),
    ),
    Mutation(
        "a queue that refuses messages holds few",
        python(Queues, "most", "most = self._share(queue, longest)", "return self._share(queue, longest)"),
        _missing,
    ),
    Mutation("a pause takes back what was decided", lua("pause", *TAKES_BACK)),
    Mutation("a removal takes back what was decided", lua("remove", *TAKES_BACK)),
    Mutation("what is taken back leaves a row", lua("pause", "add_row(K_skip, skip_rows, 'at'", f"{NO_ROW}, 'at'")),
    Mutation("what is given up leaves a row", lua("done", "add_row(K_skip, SKIP_ROWS, 'epoch'", f"{NO_ROW}, 'epoch'")),
    Mutation(
        "each message has a place of its own in its call",
        lua("settle", "ids[i] = ms(batch) .. '-' .. n", "ids[i] = ms(batch) .. '-1'"),
    ),
]


def first_red(mutation: Mutation, patch: pytest.MonkeyPatch) -> int | None:
    """The first seed with a broker in which a world without the rule fails."""
    mutation.apply(patch)
    for seed in BROKERS:
        if World(mutation.worlds(scenario(seed))).run().failure is not None:
            return seed
    return None


@pytest.mark.parametrize("mutation", RULES, ids=str)
def test_a_rule_of_the_outbox_taken_away_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_red(mutation, monkeypatch) is not None


@pytest.mark.nightly
@pytest.mark.parametrize(
    "worlds", [_standing_still, _going_back, _dying, _missing], ids=lambda found: str(found.__name__)
)
def test_worlds_of_one_kind_of_trouble_are_well_with_all_rules(worlds: Any) -> None:
    failures = (World(worlds(scenario(seed))).run().failure for seed in range(2, 60, 3))
    assert next((failure for failure in failures if failure is not None), None) is None
