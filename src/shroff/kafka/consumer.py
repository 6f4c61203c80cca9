"""The consumer: messages in, durable decisions out; many in flight, offsets committed in order."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import count
from time import perf_counter
from typing import Final
from zoneinfo import ZoneInfo

from shroff.errors import NotFound, OutOfBounds, ShroffError
from shroff.kafka.answers import Answers
from shroff.kafka.client import TopicReader, TopicWriter
from shroff.kafka.figures import figures
from shroff.kafka.gate import LedgerGate, Stopped
from shroff.kafka.health import BrokerHealth
from shroff.kafka.messages import Message, Partition, Topics, named, read_event, require_size
from shroff.kafka.order import EventOrder
from shroff.kafka.progress import Progress
from shroff.kafka.quarantine import Held, Quarantine
from shroff.prepared import prepare_types
from shroff.scoring.feedback import Result, moment
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.asgi import explain
from shroff.telemetry.family import Figure

_RETRY_SECONDS: Final = 1.0  # between attempts while a server is away, and between commits
_DRAIN_TIMEOUT_SECONDS: Final = 20.0  # for messages in flight to finish
_log = logging.getLogger(__name__)


class Consumer:
    """Decides a topic's payments and records other topics' results and labels by a started scorer.

    Args:
        group: the consumer group, under whose name Kafka keeps offsets.
        in_flight: most messages of a topic in flight at once.
        until_end: stop at the end of the topics.
        patience: seconds that a result or label may wait for its payment.
        label_source: the source of the labels; by default the name of their topic.

    Raises:
        ConfigurationError: an option is wrong.
    """

    def __init__(
        self,
        scorer: Scorer,
        topics: Topics,
        options: Mapping[str, str],
        *,
        group: str,
        in_flight: int,
        until_end: bool = False,
        patience: float = 60.0,
        label_source: str | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.seconds = 0.0
        self.lag: Mapping[Partition, int] = {}
        """How many messages of each partition are not done yet."""
        self._scorer = scorer
        self._topics = topics
        self._source = label_source or topics.labels or ""
        self._limit = in_flight
        self._until_end = until_end
        self._patience = 0.0 if until_end else patience
        self._health = BrokerHealth()
        self._feed = TopicReader(
            options, topics.read, group=group, released=self._release, health=self._health
        )
        self._answers = Answers(TopicWriter(options, health=self._health), topics)
        zone = scorer.bundle.schema.timezone
        self._zone = ZoneInfo(zone) if zone else None
        self._progress: dict[Partition, Progress] = {}
        self._in_flight: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._order = EventOrder()
        self._changed, self._stopping = asyncio.Event(), asyncio.Event()
        self._gate = LedgerGate(self._changed.set)
        self._quarantine = Quarantine()
        self._turns = count()
        self._started = 0.0
        self._committed = 0.0
        self._taken = 0

    def figures(self) -> Iterator[Figure]:
        """The figures of messages by outcome, and the lag of each partition."""
        return figures(
            {name: self.counts[name] for name in ("decided", "results", "labels")} | self.rejected,
            self.lag,
        )

    def join(self) -> None:
        """Join the consumer group.

        Raises:
            BrokerUnavailable: Kafka does not answer.
            ConfigurationError: a topic is missing, or Kafka refuses.
        """
        prepare_types()
        self._feed.join(self._topics.written)

    async def run(self) -> None:
        """Read until `stop` or the end of the topics, then drain.

        Raises:
            ConfigurationError: Kafka refuses for good.
            NothingAccepted: many well-formed messages came and none was accepted; they are not
                committed.
        """
        self._loop = asyncio.get_running_loop()
        try:
            while not self._finished():
                await self._turn()
        finally:
            await self._drain()
        if (failure := self._failure) is not None:
            raise failure

    @property
    def _failure(self) -> ShroffError | None:
        return self._health.failure or self._quarantine.failure

    def stop(self) -> None:
        """Stop reading; call it in the event loop."""
        self._stopping.set()
        self._changed.set()

    def _finished(self) -> bool:
        if self._stopping.is_set() or self._failure is not None:
            return True
        if (
            not self._until_end
            or self._in_flight.total()
            or not self._feed.at_end(self._topics.read)
        ):
            return False
        for topic in self._topics.read:
            self._reject_held(self._quarantine.conclude(topic))
        return not self._in_flight.total()

    async def _turn(self) -> None:
        """Read once, except topics that have too much in flight."""
        payments = self._topics.payments
        if self._full(payments):
            await self._wait(
                lambda: 2 * self._in_flight[payments] <= self._limit and self._gate.open
            )
        held = frozenset(filter(self._full, self._topics.read))
        most = max(1, self._limit - self._in_flight[payments])
        for message in await asyncio.to_thread(self._feed.read, most, held=held):
            self._begin(message)
        if perf_counter() - self._committed > _RETRY_SECONDS:
            self._committed = perf_counter()
            positions = self._positions({*self._progress, *self._feed.ends})
            self._feed.commit(positions)
            self.lag = self._feed.lag(positions)
            self._health.waits(self._missed(), self._committed)

    def _missed(self) -> str | None:
        """What Kafka has not done that messages wait for."""
        taken, self._taken = self._taken, self.counts.total()
        if not self._feed.assigned:
            return "given this consumer no partitions"
        return "taken no answer" if len(self._answers) and taken == self._taken else None

    def _full(self, topic: str) -> bool:
        return (
            not self._gate.open
            or self._in_flight[topic] >= self._limit
            or self._quarantine.overdue(topic)
        )

    async def _wait(
        self, condition: Callable[[], bool], *, seconds: float = _RETRY_SECONDS
    ) -> None:
        """Wait until a condition holds, for at most so many seconds."""
        until = perf_counter() + seconds
        while not condition() and (left := until - perf_counter()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return

    def _begin(self, message: Message) -> None:
        self._started = self._started or perf_counter()
        self._progress.setdefault(message.place, Progress()).begin(message.offset)
        self._in_flight[message.place.topic] += 1
        task = self._loop.create_task(self._handle(message, next(self._turns)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, message: Message, turn: int) -> None:
        try:
            await (self._decide if self._pays(message) else self._learn)(message, turn)
        except Stopped:
            self._leave(message)
        except OutOfBounds as error:
            self._quarantine.hold(message, error)
            self._leave(message)
        except Exception as error:  # noqa: BLE001  # a failed message must not stop those after it
            self._reject(message, error)

    def _pays(self, message: Message) -> bool:
        return message.place.topic == self._topics.payments

    async def _decide(self, message: Message, turn: int) -> None:
        require_size(message)
        payment = self._scorer.reader.parse(message.value or b"", arrived=0)
        answer = await self._gate.insist(turn, partial(self._scorer.judge, payment))
        # a payment decided long ago does not show that payments are accepted now
        if self._quarantine.wanted(self._topics.payments) and self._scorer.in_time(payment.time):
            self._reject_held(self._quarantine.accepted(self._topics.payments))
        self._answers.decide(message, payment.id, answer, partial(self._done, "decided", message))

    async def _learn(self, message: Message, turn: int) -> None:
        require_size(message)
        label = message.place.topic == self._topics.labels
        event = read_event(message.value or b"", label=label)
        at = moment(event.at, self._zone, twice=self._scorer.reader.count_twice)
        learn = self._scorer.learn
        if isinstance(event, Result):
            attempt = partial(learn, "result", event.payment_id, event.result, at=at)
        else:
            # the same identity after a crash, so the same label
            identity = event.event_id or named(message)
            said = partial(
                learn, "label", event.payment_id, event.fraud, at=at, source=self._source
            )
            attempt = partial(said, note=event.source, event=identity)
        async with self._order.turn(message.place.topic, event.payment_id):
            await self._when_known(partial(self._gate.insist, turn, attempt))
        self._reject_held(self._quarantine.accepted(message.place.topic))
        self._done("labels" if label else "results", message)

    async def _when_known(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try again while the payment may still come: topics are read independently."""
        until = perf_counter() + self._patience
        while True:
            try:
                return await attempt()
            except NotFound:
                payments = self._topics.payments
                ended = self._feed.at_end([payments]) and not self._in_flight[payments]
                if ended and perf_counter() >= until:
                    raise
            await self._sleep()

    async def _sleep(self) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), _RETRY_SECONDS)
        except TimeoutError:
            return
        raise Stopped

    def _reject_held(self, held: Iterable[Held]) -> None:
        """Reject held messages that proved to be bad."""
        for message, error in held:
            self._in_flight[message.place.topic] += 1
            self._reject(message, error)

    def _reject(self, message: Message, error: Exception) -> None:
        kind, sentence = explain(error)
        if kind is problem.PAYMENT_CONFLICT and not self._pays(message):
            kind = problem.EVENT_CONFLICT
        self.rejected[kind.slug] += 1
        done = partial(self._done, "rejected", message)
        if not self._answers.reject(message, kind.slug, sentence, done):
            place = message.place
            fields = {**place._asdict(), "offset": message.offset, "reason": kind.slug}
            extra = {"event": "rejected", "fields": fields}
            _log.warning(
                "rejected %s, partition %d, offset %d: %s",
                *place,
                message.offset,
                kind.slug,
                extra=extra,
            )
            done()

    def _done(self, what: str, message: Message) -> None:
        self.counts[what] += 1
        self.seconds = perf_counter() - self._started
        progress = self._progress.get(message.place)
        if progress is not None:
            progress.done(message.offset)
        self._leave(message)

    def _leave(self, message: Message) -> None:
        topic = message.place.topic
        self._in_flight[topic] -= 1
        if not self._in_flight[topic]:
            self._quarantine.judge(topic)
        self._changed.set()

    def _positions(self, places: Collection[Partition]) -> dict[Partition, int]:
        known = ((place, self._position(place)) for place in places)
        return {place: position for place, position in known if position is not None}

    def _position(self, place: Partition) -> int | None:
        """The offset to commit for a partition: its end if all messages are done, else progress."""
        progress, end = self._progress.get(place), self._feed.ends.get(place)
        if progress is None:
            return end
        return end if end is not None and progress.idle else progress.position

    def _release(self, places: Collection[Partition]) -> Mapping[Partition, int]:
        """Called in the reading thread while the event loop runs."""
        return asyncio.run_coroutine_threadsafe(self._let_go(places), self._loop).result()

    async def _let_go(self, places: Collection[Partition]) -> Mapping[Partition, int]:
        mine = {place: self._progress[place] for place in places if place in self._progress}

        def judged() -> bool:
            held = self._quarantine.count()
            return all(progress.left <= held[place] for place, progress in mine.items())

        await self._wait(
            lambda: self._stopping.is_set() or not self._gate.open or judged(),
            seconds=_DRAIN_TIMEOUT_SECONDS / 2,
        )
        positions = self._positions(places)
        self._quarantine.drop(places)
        for place in places:
            self._progress.pop(place, None)
        return positions

    async def _drain(self) -> None:
        """Finish the messages in flight as far as ledger and Kafka allow, and leave the group."""
        self._stopping.set()
        self._gate.stop()
        if self._health.failure is None:
            await self._wait(lambda: not self._in_flight.total(), seconds=_DRAIN_TIMEOUT_SECONDS)
        # leaving the group releases all partitions, which commits
        await asyncio.to_thread(self._feed.close)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._answers.close()
