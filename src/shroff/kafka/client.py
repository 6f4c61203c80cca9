"""The client of Kafka; no other file imports confluent-kafka."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from shroff.errors import (
    BrokerUnavailable,
    ConfigurationError,
    MissingExtra,
    ShroffError,
    did_you_mean,
)
from shroff.kafka.messages import Header, Message, Partition

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
    from confluent_kafka import Message as Raw
except ImportError as error:
    raise MissingExtra(
        "Kafka needs its client confluent-kafka: `pip install 'shroff[kafka]'`."
    ) from error

_log = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.1  # the longest wait for a message
_QUIET_SECONDS: Final = 30.0  # after them the log says what the consumer waits for
_JOIN_SECONDS: Final = 10.0  # Kafka must answer within them at the start
# 2: librdkafka would log every failed attempt to connect, this file logs the first
_QUIET: Final = {"log_level": "2"}
_FEED: Final = {"auto.offset.reset": "earliest"}
# wait for Kafka however long it is away: every decision must arrive
_OUTLET: Final = {
    "acks": "all",
    "linger.ms": "5",
    "compression.type": "lz4",
    "message.timeout.ms": "0",
}
_REFUSALS: Final = (
    KafkaError._AUTHENTICATION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._FATAL,
)
_SECURITY: Final = re.compile(r"\b(?:sasl|ssl)\.[a-z._]*[a-z]")
Released = Callable[[Collection[Partition]], Mapping[Partition, int]]
"""Finishes the messages of partitions that another consumer takes over, and returns how far each is
done.
"""


class BrokerHealth:
    """Whether Kafka answers; logs once when it stops, once when it is back, and once when nothing
    comes for long.

    `failure` is what cannot be helped by waiting (None while there is no such thing); `joined` is
    whether Kafka was there once, so that it can be missed; `away` is whether it is missed now.
    """

    def __init__(self) -> None:
        self.failure: ShroffError | None = None
        self.joined = False
        self.away = False
        self._last = "nothing"
        self._waiting: tuple[str, float] | None = None
        self._logged = False

    def worse(self, error: KafkaError) -> None:
        """Take note of an error."""
        self._last = error.name().strip("_")
        if error.fatal() or error.code() in _REFUSALS:
            self.failure = self.failure or ConfigurationError(
                f"Kafka refuses: {error.name().strip('_')}."
            )
        elif error.code() == KafkaError._ALL_BROKERS_DOWN and self.joined and not self.away:
            self.away = True
            _log.warning("Kafka does not answer; waiting for it.")

    def well(self) -> None:
        """Take note that Kafka did something."""
        if self.away:
            self.away = False
            _log.warning("Kafka answers again.")

    def waits(self, what: str | None, now: float) -> None:
        """Note what the consumer waits for at a moment, in seconds; None: nothing, or some of it
        just came.
        """
        if what is None or self.away or self._waiting is None or self._waiting[0] != what:
            self._waiting, self._logged = None if what is None else (what, now), False
        elif now - self._waiting[1] >= _QUIET_SECONDS and not self._logged:
            self._logged = True
            _log.warning(
                "Kafka has %s for %.0f s; the last error of its client: %s.",
                what,
                _QUIET_SECONDS,
                self._last,
            )


class Feed:
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
            {**_QUIET, **_FEED, **options, **ours},
            error_cb=health.worse,
            on_commit=self._committed_up_to,
        )
        self._topics = list(topics)
        self._released = released
        self._health = health
        self._mine: set[Partition] | None = None
        self._fresh: list[Message] = []
        self._held: frozenset[str] | None = frozenset()
        self.ends: dict[Partition, int] = {}
        """The offsets at which partitions ended when everything before them had been read: also
        behind what is no message, such as the end of a transaction."""
        self._committed: dict[Partition, int] = {}

    def join(self, written: Sequence[str]) -> None:
        """Make sure that all topics are there, those that will be written too, and join the group.

        Raises:
            BrokerUnavailable: Kafka does not answer.
            ConfigurationError: a topic is missing, or Kafka refuses.
        """
        try:
            there = self._consumer.list_topics(timeout=_JOIN_SECONDS).topics
        except KafkaException:
            self._consumer.poll(0)  # says what it was, if there is more to say
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
        """Messages that are there, waiting for the first a moment; none of the topics that are
        `held` back.

        Call it often, also when everything is held: a member that does not is taken for dead.
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
        """Whether Kafka has assigned partitions to this member, be it none."""
        return self._mine is not None

    def at_end(self, topics: Collection[str]) -> bool:
        """Whether everything was read that this member is to read of these topics."""
        return self._mine is not None and all(
            place in self.ends for place in self._mine if place.topic in topics
        )

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit how far partitions are done, without waiting."""
        moved = {place: at for place, at in positions.items() if self._committed.get(place) != at}
        if moved:
            self._consumer.commit(offsets=_partitions(moved), asynchronous=True)

    def lag(self, done: Mapping[Partition, int]) -> dict[Partition, int]:
        """How many messages of this member's partitions are not done yet, as far as Kafka has said.

        Args:
            done: up to where each is done; a partition that is not named is where Kafka says that
                it was read.
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
        """Leave the group, so that others take over at once."""
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
            self._health.worse(error)
            return
        self._health.well()

    def _ask(self) -> None:
        """Ask whether Kafka is back: while there is nothing to read, nothing else would show it."""
        with suppress(KafkaException):
            self._consumer.list_topics(self._topics[0], timeout=_POLL_SECONDS)
            self._health.well()

    def _hold(self, held: frozenset[str]) -> None:
        if held != self._held:
            mine = [TopicPartition(place.topic, place.partition) for place in self._mine or ()]
            self._consumer.pause([each for each in mine if each.topic in held])
            self._consumer.resume([each for each in mine if each.topic not in held])
            self._held = held

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._mine = (self._mine or set()) | _places(partitions)
        self._held = None  # new partitions are not held: the next read holds what must be

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
        # the next reader of these partitions starts at the first message that did not begin here
        self._fresh = [message for message in self._fresh if message.place not in places]
        self._mine = (self._mine or set()) - places
        for place in places:
            self.ends.pop(place, None)
            self._committed.pop(place, None)

    def _committed_up_to(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        # what failed stays different from its position, so the next commit has it again
        if error is None:
            self._committed |= {
                Partition(each.topic, each.partition): each.offset
                for each in partitions
                if each.error is None
            }


class Outlet:
    """Writes messages; belongs to one thread.

    Raises:
        ConfigurationError: an option that librdkafka does not know or take.
    """

    def __init__(self, options: Mapping[str, str], *, health: BrokerHealth) -> None:
        self._producer = _made(
            Producer,
            {**_QUIET, **_OUTLET, **options, "enable.idempotence": "true"},
            error_cb=health.worse,
        )
        self._health = health

    def __len__(self) -> int:
        """How many messages Kafka has not taken yet."""
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
        """Write a message; `poll` calls `on_durable` when Kafka has taken it, however long Kafka is
        away.

        Args:
            too_large: called where it is larger than the client or the topic takes; by default that
                is a failure.
        """

        def refused(error: KafkaError) -> None:
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and too_large is not None:
                too_large()
            else:
                self._refused(topic, error)

        def delivered(error: KafkaError | None, _: Raw[Any, Any]) -> None:
            if error is None:
                self._health.well()
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
        """Run the callbacks of messages that Kafka has taken."""
        self._producer.poll(0)

    def close(self) -> None:
        """Give up on messages that Kafka has not taken."""
        self._producer.purge()
        self._producer.flush(1)

    def _refused(self, topic: str, error: KafkaError) -> None:
        self._health.failure = self._health.failure or ConfigurationError(
            f"Kafka does not take a message for the topic `{topic}`: {error.name().strip('_')}."
        )


def _made(
    kind: Callable[..., Any], options: Mapping[str, str], **callbacks: Callable[..., None]
) -> Any:
    try:
        return kind({**options, **callbacks})
    except KafkaException as error:
        # librdkafka's own text may repeat a value
        named = {name for name in options if name in str(error)} | set(
            _SECURITY.findall(str(error))
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
