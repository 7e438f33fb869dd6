"""What the client's verbs are made of.

A verb is a generator: it yields what is to be asked of Redis, is sent the replies, and returns its result. It knows of
no socket, no clock and no chance, so one text serves the blocking client, the one for asyncio, and a simulation that
interleaves it with others step by step.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

from beatd.errors import BeatdError
from beatd.store.scripts import Arg, Call

T = TypeVar("T")


class Ask(NamedTuple):
    """Commands and script calls for one write. tolerant: errors of the server are given among the replies.

    again: it may be sent once more where the connection was closed under it. Not so an edit that goes over whatever it
    finds: somebody else's may have come between, and its revision would come back.
    """

    commands: Sequence[Sequence[Arg] | Call]
    tolerant: bool = False
    again: bool = True


Replies = list[Any]
Steps = Generator[Ask, Replies, T]


def ask(*commands: Sequence[Arg] | Call, tolerant: bool = False, again: bool = True) -> Steps[list[Any]]:
    """The replies to some commands, one each, in a verb that says ``yield from``."""
    return (yield Ask(commands, tolerant, again))


def drive(steps: Steps[T], answer: Callable[[Ask], Replies]) -> T:
    """Runs a verb to its end. Errors of ours that ``answer`` raises are raised inside the verb, where it waits."""
    try:
        question = next(steps)
        while True:
            try:
                replies = answer(question)
            except BeatdError as error:
                question = steps.throw(error)
            else:
                question = steps.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result


async def drive_async(steps: Steps[T], answer: Callable[[Ask], Awaitable[Replies]]) -> T:
    """The same where an answer is awaited. A cancellation ends the verb where it waits."""
    try:
        question = next(steps)
        while True:
            try:
                replies = await answer(question)
            except BeatdError as error:
                question = steps.throw(error)
            else:
                question = steps.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()
