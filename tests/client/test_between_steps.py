"""A verb is answered step by step, and somebody else edits in between: what only a race meets otherwise."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from beatd.client import editing
from beatd.client.blocking import Client
from beatd.client.steps import Ask, Steps, T, drive
from beatd.errors import Conflict
from beatd.store.entries import fresh_nonce
from beatd.store.refusals import ConnectionClosed

Act = Callable[[], Any]


def interrupted(
    client: Client, steps: Steps[T], before: Mapping[int, Act], within: Mapping[int, Act] | None = None
) -> T:
    """Runs a verb; `before` its n-th question, or after the first command of that one, somebody does something."""
    asked = 0

    def answer(question: Ask) -> list[Any]:
        nonlocal asked
        asked += 1
        before.get(asked, lambda: None)()
        if within is None or asked not in within:
            return client.link.exchange(question.commands, tolerant=question.tolerant)
        first = client.link.exchange(question.commands[:1])
        within[asked]()
        return [*first, *client.link.exchange(question.commands[1:])]

    return drive(steps, answer)


def edit(client: Client, **given: Any) -> Steps[Any]:
    return editing.set_entry(client.keys, "a", given, None, fresh_nonce, "{}")


@pytest.fixture
def stored(client: Client) -> None:
    client.set("a", task="t", cron="0 9 * * *", max_runs=5)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("act", ["pause", "resume", "reset"])
def test_a_change_of_run_state_between_reading_and_writing_is_worked_around(client: Client, act: str) -> None:
    state = interrupted(client, edit(client, queue="other"), {2: lambda: getattr(client, act)("a")})
    assert state.definition["queue"] == "other"
    assert client.get("a") == state


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "act, said",
    [
        (lambda client: client.set("a", queue="theirs"), "changed queue meanwhile"),
        (lambda client: client.remove("a"), "removed it meanwhile"),
    ],
    ids=["an edit", "a removal"],
)
def test_a_change_of_the_definition_between_reading_and_writing_is_a_conflict(
    client: Client, act: Callable[[Client], Any], said: str
) -> None:
    with pytest.raises(Conflict, match=said):
        interrupted(client, edit(client, args=[1]), {2: lambda: act(client)})


@pytest.mark.usefixtures("stored")
def test_a_revision_is_never_read_with_the_definition_of_another(client: Client) -> None:
    """Else an edit computed from the older fields would pass for one of the newer definition."""
    base = client.get("a")
    steps = editing.set_entry(client.keys, "a", {"args": [1]}, base.revision, fresh_nonce, "{}")
    with pytest.raises(Conflict):
        interrupted(client, steps, {}, {1: lambda: client.set("a", args=[2])})
    assert client.get("a").definition["args"] == [2]


@pytest.mark.usefixtures("stored")
def test_an_edit_that_was_removed_at_once_is_told_as_it_was_made(client: Client) -> None:
    state = interrupted(client, edit(client, queue="other", enabled=False), {3: lambda: client.remove("a")})
    assert (state.definition["queue"], state.state, state.next) == ("other", "disabled", None)
    assert client.find("a") is None


@pytest.mark.usefixtures("stored")
def test_an_edit_whose_answer_was_lost_is_done_once(client: Client) -> None:
    """Done, and the connection closed before that was said; then somebody else paused it."""

    def answer(question: Ask) -> list[Any]:
        replies = client.link.exchange(question.commands, tolerant=question.tolerant)
        if not question.again:
            client.pause("a")
            raise ConnectionClosed("it is gone")
        return replies

    before = len(client.changes("a"))
    state = drive(edit(client, max_runs=9), answer)
    assert (state.state, state.definition["max_runs"], state.runs_left) == ("paused", 9, 9)
    assert len(client.changes("a")) == before + 2


def test_who_loses_a_race_for_a_name_is_told_that_it_was_created(client: Client) -> None:
    steps = client.verbs.set("new", None, None, {"task": "mine", "every": 60})
    with pytest.raises(Conflict, match=r"\(beatd.Client\) created it meanwhile") as caught:
        interrupted(client, steps, {2: lambda: client.set("new", task="theirs", every=60)})
    assert caught.value.revision == client.get("new").revision


@pytest.mark.usefixtures("stored")
def test_a_removal_whose_entry_is_gone_already_has_done_what_it_should(client: Client) -> None:
    interrupted(client, editing.remove_entries(client.keys, ["a"], None, "{}"), {2: lambda: client.remove("a")})
    assert client.find("a") is None


@pytest.mark.usefixtures("stored")
def test_a_removal_goes_on_after_a_pause_and_not_over_an_edit_it_was_not_based_on(client: Client) -> None:
    revision = client.get("a").revision
    steps = editing.remove_entries(client.keys, ["a"], revision, "{}")
    with pytest.raises(Conflict):
        interrupted(client, steps, {2: lambda: client.set("a", queue="theirs")})
    steps = editing.remove_entries(client.keys, ["a"], client.get("a").revision, "{}")
    interrupted(client, steps, {2: lambda: client.pause("a")})
    assert client.find("a") is None
