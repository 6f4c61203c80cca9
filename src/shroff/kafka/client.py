"""The client of Kafka; no other file imports confluent-kafka."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from shroff.errors import BrokerUnavailable, ConfigurationError, MissingExtra, did_you_mean
from shroff.kafka.health import BrokerHealth
from shroff.kafka.messages import Header, Message, Partition

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
    from confluent_kafka import Message as Raw
except ImportError as error:
    raise MissingExtra(
        "Kafka needs its client confluent-kafka: `pip install 'shroff[kafka]'`."
    ) from error

_log = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.1  # longest wait for a message
_JOIN_SECONDS: Final = 10.0  # for Kafka to answer at the start
# 2, critical: librdkafka would log every failed attempt to connect; we log the first
_LOG_OPTIONS: Final = {"log_level": "2"}
_CONSUMER_OPTIONS: Final = {"auto.offset.reset": "earliest"}
# no timeout: every decision must arrive, however long Kafka is away
_PRODUCER_OPTIONS: Final = {
    "acks": "all",
    "linger.ms": "5",
    "compression.type": "lz4",
    "message.timeout.ms": "0",
}
_REFUSAL_CODES: Final = (
    KafkaError._AUTHENTICATION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._FATAL,
)
_SECURITY_OPTION: Final = re.compile(r"\b(?:sasl|ssl)\.[a-z._]*[a-z]")
Released = Callable[[Collection[Partition]], Mapping[Partition, int]]
"""Finishes the messages of partitions that another consumer takes over; returns how far."""


class TopicReader:
    """Reads topics as a member of a consumer group. To be used by one thread at a time.

    Raises:
        ConfigurationError: an option that librdkafka does not know or take.
    """

    def __init__(
        self,
        options: Mapping[str, str],
        topics: Sequence[str],
        *,
        group: str,
        released: Released,
        health: BrokerHealth,
    ) -> None:
        ours = {
            "group.id": group,
            "enable.auto.commit": "false",
            "enable.auto.offset.store": "false",
            "enable.partition.eof": "true",
            # messages of an aborted transaction do not count
            "isolation.level": "read_committed",
        }
        self._consumer = _made(
            Consumer,
            {**_LOG_OPTIONS, **_CONSUMER_OPTIONS, **options, **ours},
            error_cb=partial(_failed, health),
            on_commit=self._committed_up_to,
        )
        self._topics = list(topics)
        self._released = released
        self._health = health
        self._mine: set[Partition] | None = None
        self._fresh: list[Message] = []
        self._held: frozenset[str] | None = frozenset()
        self.ends: dict[Partition, int] = {}
        """The end offset of each partition that is read to its end, past entries that are no
        messages, such as the end of a transaction.
        """
        self._committed: dict[Partition, int] = {}

    def join(self, written: Sequence[str]) -> None:
        """Check that all topics exist, including those to be written, and join the group.

        Raises:
            BrokerUnavailable: Kafka does not answer.
            ConfigurationError: a topic is missing, or Kafka refuses.
        """
        try:
            there = self._consumer.list_topics(timeout=_JOIN_SECONDS).topics
        except KafkaException:
            self._consumer.poll(0)  # runs `error_cb`, which may know the cause
            raise self._health.failure or BrokerUnavailable(
                f"Kafka did not answer within {_JOIN_SECONDS:.0f} s: check servers, TLS and SASL "
                "in SHROFF_KAFKA."
            ) from None
        for name in (*self._topics, *written):
            if name not in there:
                hint = (
                    did_you_mean(name, [known for known in there if not known.startswith("__")])
                    or "; create it."
                )
                raise ConfigurationError(f"Kafka has no topic `{name}`{hint}")
        self._health.joined = True
        self._consumer.subscribe(
            self._topics,
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def read(self, most: int, *, held: frozenset[str] = frozenset()) -> list[Message]:
        """The next messages, after a short wait for the first; none of the topics in `held`.

        Call it often, even if all topics are held: Kafka takes a member that stops polling for
        dead.
        """
        self._hold(held)
        self._fresh = []
        raw = self._consumer.poll(_POLL_SECONDS)
        while raw is not None:
            self._take(raw)
            raw = self._consumer.poll(0) if len(self._fresh) < most else None
        if self._health.away and not self._fresh:
            self._ask()
        return self._fresh

    @property
    def assigned(self) -> bool:
        """Whether Kafka has given this member its partitions, even if none."""
        return self._mine is not None

    def at_end(self, topics: Collection[str]) -> bool:
        """Whether this member has read its partitions of these topics to the end."""
        return self._mine is not None and all(
            place in self.ends for place in self._mine if place.topic in topics
        )

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit the progress of partitions, without waiting."""
        moved = {place: at for place, at in positions.items() if self._committed.get(place) != at}
        if moved:
            self._consumer.commit(offsets=_partitions(moved), asynchronous=True)

    def lag(self, done: Mapping[Partition, int]) -> dict[Partition, int]:
        """How many messages of this member's partitions are not done, as far as Kafka has told.

        Args:
            done: the progress of each partition; by default its position in Kafka.
        """
        waiting = {}
        for place in self._mine or ():
            partition = TopicPartition(place.topic, place.partition)
            ends = self._consumer.get_watermark_offsets(partition, cached=True)
            at = done[place] if place in done else self._consumer.position([partition])[0].offset
            if ends is not None and ends[1] >= 0 and (at >= 0 or place in self.ends):
                waiting[place] = max(0, ends[1] - at) if at >= 0 else 0
        return waiting

    def close(self) -> None:
        """Leave the group, so that others take over its partitions at once."""
        self._consumer.close()

    def _take(self, raw: Raw[Any, Any]) -> None:
        place = Partition(str(raw.topic()), raw.partition() or 0)
        error = raw.error()
        if error is None:
            self.ends.pop(place, None)
            self._fresh.append(
                Message(place, raw.offset() or 0, raw.key(), raw.value(), _headers(raw))
            )
        elif error.code() == KafkaError._PARTITION_EOF:
            self.ends[place] = raw.offset() or 0
        else:
            _failed(self._health, error)
            return
        self._health.answered()

    def _ask(self) -> None:
        """Ask whether Kafka is back: with nothing to read, nothing else would show it."""
        with suppress(KafkaException):
            self._consumer.list_topics(self._topics[0], timeout=_POLL_SECONDS)
            self._health.answered()

    def _hold(self, held: frozenset[str]) -> None:
        if held != self._held:
            mine = [TopicPartition(place.topic, place.partition) for place in self._mine or ()]
            self._consumer.pause([each for each in mine if each.topic in held])
            self._consumer.resume([each for each in mine if each.topic not in held])
            self._held = held

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._mine = (self._mine or set()) | _places(partitions)
        self._held = None  # new partitions are not paused: the next read pauses what it must

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = _places(partitions)
        positions = self._released(places)
        if positions:
            try:
                consumer.commit(offsets=_partitions(positions), asynchronous=False)
            except KafkaException as error:
                # they are read again, and answered from the ledger
                _log.warning(
                    "cannot commit to Kafka how far was read (%s); some is read again.",
                    error.args[0].name(),
                )
        self._forget(places)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._released(_places(partitions))
        self._forget(_places(partitions))

    def _forget(self, places: set[Partition]) -> None:
        # the next reader of these partitions starts at the first message that was not begun here
        self._fresh = [message for message in self._fresh if message.place not in places]
        self._mine = (self._mine or set()) - places
        for place in places:
            self.ends.pop(place, None)
            self._committed.pop(place, None)

    def _committed_up_to(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        # a failed offset stays different from its position, so the next commit includes it
        if error is None:
            self._committed |= {
                Partition(each.topic, each.partition): each.offset
                for each in partitions
                if each.error is None
            }


class TopicWriter:
    """Writes messages; belongs to one thread.

    Raises:
        ConfigurationError: an option that librdkafka does not know or take.
    """

    def __init__(self, options: Mapping[str, str], *, health: BrokerHealth) -> None:
        self._producer = _made(
            Producer,
            {**_LOG_OPTIONS, **_PRODUCER_OPTIONS, **options, "enable.idempotence": "true"},
            error_cb=partial(_failed, health),
        )
        self._health = health

    def __len__(self) -> int:
        """The number of messages that Kafka has not taken yet."""
        return len(self._producer)

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header],
        on_durable: Callable[[], None],
        *,
        too_large: Callable[[], None] | None = None,
    ) -> None:
        """Write a message; `poll` calls `on_durable` once Kafka has taken it, however late.

        Args:
            too_large: called if it is larger than the client or the topic allows; by default a
                failure.
        """

        def refused(error: KafkaError) -> None:
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and too_large is not None:
                too_large()
            else:
                self._refused(topic, error)

        def delivered(error: KafkaError | None, _: Raw[Any, Any]) -> None:
            if error is None:
                self._health.answered()
                on_durable()
            else:
                refused(error)

        while True:
            try:
                self._producer.produce(
                    topic, value, key, headers=list(headers), on_delivery=delivered
                )
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            except KafkaException as error:
                refused(error.args[0])
                return
            else:
                return

    def poll(self) -> None:
        """Call back for messages that Kafka has taken."""
        self._producer.poll(0)

    def close(self) -> None:
        """Drop messages that Kafka has not taken."""
        self._producer.purge()
        self._producer.flush(1)

    def _refused(self, topic: str, error: KafkaError) -> None:
        self._health.failure = self._health.failure or ConfigurationError(
            f"Kafka does not take a message for the topic `{topic}`: {error.name().strip('_')}."
        )


def _failed(health: BrokerHealth, error: KafkaError) -> None:
    health.failed(
        error.name().strip("_"),
        refused=error.fatal() or error.code() in _REFUSAL_CODES,
        away=error.code() == KafkaError._ALL_BROKERS_DOWN,
    )


def _made(
    kind: Callable[..., Any], options: Mapping[str, str], **callbacks: Callable[..., None]
) -> Any:
    try:
        return kind({**options, **callbacks})
    except KafkaException as error:
        # librdkafka's text may repeat a value
        named = {name for name in options if name in str(error)} | set(
            _SECURITY_OPTION.findall(str(error))
        )
        raise ConfigurationError(
            "librdkafka does not take "
            f"{', '.join(f'`{name}`' for name in sorted(named)) or 'an option'} in SHROFF_KAFKA: "
            "an unknown name (those of Java clients differ), a wrong value, or something missing."
        ) from None


def _headers(raw: Raw[Any, Any]) -> tuple[Header, ...]:
    given = raw.headers()
    pairs = given.items() if isinstance(given, dict) else given or ()
    return tuple(
        (str(name), value.encode() if isinstance(value, str) else value) for name, value in pairs
    )


def _places(partitions: list[TopicPartition]) -> set[Partition]:
    return {Partition(each.topic, each.partition) for each in partitions}


def _partitions(positions: Mapping[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(place.topic, place.partition, at) for place, at in positions.items()]
