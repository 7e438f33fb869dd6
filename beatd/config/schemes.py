"""Which brokers there are, by the schemes of their URLs. What is not among them is nearly always a slip.

Those of our own transports come from the transports themselves. They import kombu, which takes longer than all the rest
of a start: so they are asked only about what kombu does not have.
"""

from collections.abc import Sequence
from typing import Final

# Those of kombu that Celery takes; a test compares.
OF_KOMBU: Final = (
    *("amqp", "amqps", "pyamqp", "redis", "rediss", "redis+socket", "rediss+socket", "sentinel", "sqs", "filesystem"),
    *("memory", "sqla", "sqlalchemy", "mongodb", "kafka", "confluentkafka", "qpid", "zookeeper", "consul", "etcd"),
    *("pyro", "gcpubsub", "pgmq", "azurestoragequeues", "azureservicebus"),
)


def known_schemes() -> Sequence[str]:
    """All schemes; where kombu is not installed, those of kombu alone."""
    from beatd.transports import own_schemes  # noqa: PLC0415  # see above

    return tuple(dict.fromkeys((*OF_KOMBU, *own_schemes())))


def is_known(scheme: str) -> bool:
    """Whether a broker is reached by it."""
    return scheme in OF_KOMBU or scheme in known_schemes()
