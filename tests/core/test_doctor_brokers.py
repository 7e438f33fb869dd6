"""What doctor says about a broker that is not our Redis."""

import pytest

from beatd.core.doctor.brokers import BrokerFacts, BrokerQueue, broker_findings

FINE = BrokerFacts("amqp://rabbit/v", 3.2, "RabbitMQ 3.10.8", confirms=True, queues=[BrokerQueue("mail", 5, 2)])


def said(facts: BrokerFacts, declare: str = "none") -> list[tuple[str, str, str]]:
    return [(found.check, found.level, found.text) for found in broker_findings(facts, declare)]


def test_a_broker_that_takes_messages_is_ok() -> None:
    assert said(FINE) == [
        ("broker", "ok", "amqp://rabbit/v, RabbitMQ 3.10.8: connected in 3 ms"),
        ("confirms", "ok", "a message to a queue of nobody's came back, as it must"),
        ("broker queues", "ok", "mail (5 waiting)"),
    ]


def test_a_broker_that_can_not_be_reached_fails_with_its_own_words() -> None:
    facts = BrokerFacts("amqp://rabbit/v", problem="the broker at amqp://rabbit/v is not running", fix="start it")
    (found,) = broker_findings(facts, "none")
    assert (found.level, found.text, found.fix) == ("fail", facts.problem, "start it")


@pytest.mark.parametrize("declare, level", [("none", "fail"), ("passive", "fail"), ("celery", "ok")])
def test_a_missing_queue_fails_unless_it_will_be_declared(declare: str, level: str) -> None:
    facts = BrokerFacts("amqp://rabbit/v", confirms=True, queues=[BrokerQueue("gone", missing="NOT_FOUND")])
    assert said(facts, declare)[-1][:2] == ("broker queues", level)


def test_a_queue_that_nobody_takes_from_is_a_warning() -> None:
    facts = BrokerFacts("amqp://rabbit/v", confirms=True, queues=[BrokerQueue("mail", 1_234, 0)])
    assert said(facts)[-1] == ("broker queues", "warn", "mail: 1,234 waiting, and nobody takes them")


def test_a_slow_broker_is_a_warning() -> None:
    assert said(BrokerFacts("redis://other", 900.0)) == [("broker", "warn", "redis://other: connected in 900 ms")]


@pytest.mark.parametrize(
    "facts, text",
    [
        (BrokerFacts("amqp://rabbit", confirms=False, queues=[]), "this broker confirms no messages"),
        (BrokerFacts("amqp://rabbit", confirms=True, refused="a message is refused: NO"), "a message is refused: NO"),
    ],
)
def test_a_broker_that_takes_nothing_fails(facts: BrokerFacts, text: str) -> None:
    assert said(facts)[1] == ("confirms", "fail", text)
