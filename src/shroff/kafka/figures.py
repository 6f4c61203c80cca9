"""The figures of a consumer: messages by outcome, and the lag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from shroff.telemetry.family import CounterFamily, Figure, GaugeFamily

if TYPE_CHECKING:
    from shroff.kafka.messages import Partition

MESSAGES: Final = CounterFamily(
    name="shroff_consumed_messages",
    about="Messages of Kafka that are done: `decided`, `results`, `labels`, or why they were "
    "rejected.",
    labels=("outcome",),
)
LAG: Final = GaugeFamily(
    name="shroff_consumer_lag_messages",
    about="Messages of Kafka that are not done yet.",
    labels=("topic", "partition"),
)


def figures(outcomes: Mapping[str, int], lag: Mapping[Partition, int]) -> Iterator[Figure]:
    """The figures of messages by outcome, and of the lag by partition."""
    yield MESSAGES.of({(outcome,): count for outcome, count in outcomes.items()})
    yield LAG.of({(place.topic, str(place.partition)): count for place, count in lag.items()})


def without_topics() -> Iterator[Figure]:
    """The same families without values, for a service without Kafka: dashboards ask for both."""
    return figures({}, {})
