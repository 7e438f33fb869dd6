"""Which message an answer of the broker is about."""

from beatd.core.intent import CONFIRMED, Outcome
from beatd.transports._ledger import Ledger, Sent, Window

UNKNOWN = Outcome("unknown", "no answer")


def sent(number: int, routing_key: str = "mail") -> Sent:
    return Sent(f"1-{number}", b"", "", routing_key, f"task-{number}", 0)


def filled(size: int) -> Ledger:
    ledger = Ledger()
    for number in range(1, size + 1):
        ledger.write(sent(number))
    return ledger


def ids(found: list[Sent]) -> list[str]:
    return [each.id for each in found]


def test_an_answer_to_several_is_about_all_up_to_it_that_are_still_open() -> None:
    ledger = filled(5)
    assert ids(ledger.answered(2, multiple=False)) == ["1-2"]
    assert ids(ledger.answered(4, multiple=True)) == ["1-1", "1-3", "1-4"]
    assert ids(ledger.answered(4, multiple=True)) == []
    assert ids(ledger.answered(0, multiple=True)) == ["1-5"]
    assert len(ledger) == 0


def test_an_answer_to_what_was_never_written_is_about_nothing() -> None:
    ledger = filled(2)
    assert ledger.answered(9, multiple=False) == []
    assert ids(ledger.answered(9, multiple=True)) == ["1-1", "1-2"]


def test_tags_go_on_counting_after_an_answer_to_more_than_there_were() -> None:
    ledger = filled(1)
    ledger.answered(9, multiple=True)
    ledger.write(sent(2))
    assert ids(ledger.answered(2, multiple=True)) == ["1-2"]


def test_what_came_back_is_found_by_where_it_went_and_its_task() -> None:
    ledger = filled(3)
    ledger.came_back("", "mail", "task-2", "NO_ROUTE")
    ledger.came_back("", "elsewhere", "task-3", "NO_ROUTE")
    assert [each.returned for each in ledger.answered(3, multiple=True)] == ["", "NO_ROUTE", ""]


def test_a_window_keeps_the_first_word_about_each_message() -> None:
    window, message = Window(2, 0.0), sent(1)
    message.waiting.append((window, 1))
    message.learn(CONFIRMED)
    message.learn(UNKNOWN)
    assert not window.done
    assert window.outcomes(UNKNOWN) == [UNKNOWN, CONFIRMED]
