"""The engine with its state in memory: payments one by one, results and labels in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from shroff.clock import Clock, overtaken, system_time
from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.features.engines.online.base import Observed
from shroff.features.engines.online.bulk import Known, Table, awaited
from shroff.features.engines.online.pending import Notice, Pending, PendingPayments
from shroff.features.engines.online.plan_timelines import (
    PlanTimelines,
    columns_awaited,
    pack,
    unpack,
)
from shroff.features.engines.online.snapshot import PORTION_KEYS, Origin, Portion, Snapshot
from shroff.features.engines.online.stream_timelines import StreamTimelines
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.features.streams import Later

T = TypeVar("T")


class OnlineEngine:
    """Features of payments as they come.

    Args:
        lateness: how much later than its event time a payment may arrive and still see all that it
            should; state is kept that much longer than the longest window.
        clock: microseconds since the epoch. A payment that lies in its future makes no other one
            late.

    Payments must be observed in order of arrival, each once; `forget` undoes one that was not
    accepted.
    """

    def __init__(
        self,
        groups: Sequence[FeatureGroup],
        schema: Schema,
        *,
        lateness: str = "1d",
        clock: Clock = system_time,
    ) -> None:
        self._clock = clock
        self.too_late = (
            f"expected a time at most {lateness} before the newest payment's - at `$.{schema.time}`"
        )
        self.plan = Plan(groups, schema)
        self.timelines = PlanTimelines(self.plan, lateness=lateness)
        self._horizon = max((timelines.horizon for timelines in self.timelines.later), default=0)
        self._pending = PendingPayments(sorted(columns_awaited(self.plan)))

    def observe(self, payment: Payment) -> dict[str, Value]:
        """The payment's features, by name; from now on later payments see it.

        Returns:
            One value per feature: float, text, or None.
        """
        timelines = self.timelines
        features = timelines.observe(payment, self._clock())
        if timelines.later:
            self.expect(payment)
        return features

    def count(self, payment: Payment) -> None:
        """`observe` without features, several times as fast: for a history."""
        self.timelines.count(payment, self._clock())
        self.expect(payment)

    def count_in(self, by_stream: Sequence[StreamTimelines], payment: Payment) -> None:
        """`count` in some of the timelines; `expect` does the rest."""
        self.timelines.count_in(by_stream, payment, self._clock())

    def count_all(self, payments: Sequence[Payment]) -> None:
        """`count` payments in their order."""
        for payment in payments:
            self.count(payment)

    def fill(self, table: Table, known: Mapping[Later, Known]) -> Iterator[int]:
        """`count` for a table's payments and what is known of them, in an engine without any.

        Yields how many events its timelines got, in stretches.
        """
        yield from self.timelines.fill(table, known, self._clock())
        if self.timelines.later:
            limit = self.timelines.watermark - self._horizon
            self._pending.fill(*awaited(table, known, self._pending.columns, limit))

    def reach(self, newest: int) -> int:
        """The event time up to which no window reaches from payments that are not late, after one
        of time `newest` (microseconds).
        """
        return min(newest, self._clock()) - self.timelines.lateness - self.plan.horizon

    def expect(self, payment: Payment) -> None:
        """Keep what a later result or label of a payment needs."""
        timelines = self.timelines
        if timelines.later:
            self._pending.put(payment, timelines.watermark - self._horizon, timelines.newest)

    def observe_all(self, payments: Sequence[Payment]) -> list[Observed]:
        """`observe` for payments that wait together, in their order."""
        return [Observed(payment.arrived, self.observe(payment)) for payment in payments]

    def later(
        self, payment_id: str, event: Later, value: Value, *, rank: int = 0, arrived: int = 0
    ) -> bool:
        """A payment's result or label has arrived: payments observed from now on see it.

        The first result counts; of labels the one of the lowest rank, within a rank the one that
        arrived last. Returns whether windows still reach the payment.
        """
        later = self.timelines.later
        return self.learn(payment_id, event, Notice(value, rank, arrived), lambda payment: later)

    def learn(
        self,
        payment_id: str,
        event: Later,
        notice: Notice,
        among: Callable[[Payment], Sequence[StreamTimelines]],
    ) -> bool:
        """`later` for some of the timelines: those that the payment is `among`."""
        if payment_id not in self._pending:
            return False
        change = None if notice.value is None else self._pending.tell(payment_id, event, notice)
        if change is not None:
            payment = change.payment
            self.timelines.learn(payment, event, change.known, among(payment), before=change.before)
        return True

    def lacking(self, payments: Sequence[Payment]) -> Sequence[Payment]:
        """All of them: no other process feeds this engine."""
        return payments

    def forget(self, payment: Payment) -> None:
        """Undo `observe` of a payment that was not accepted, before any later event of it."""
        self.timelines.forget(payment)
        self._pending.drop(payment.id)

    def close(self) -> None:
        """Nothing to do: the state is in this process."""

    def origin(self) -> Origin:
        """Which engine the state is of."""
        timelines = self.timelines
        return Origin(
            definitions=self.plan.digest,
            lateness=timelines.lateness,
            watermark=timelines.watermark,
        )

    def portions(self, keys: int = PORTION_KEYS) -> Iterator[Portion]:
        """The state in portions of so many keys, each packed when it is asked for: in between,
        payments may be observed.
        """
        for waiting in self._pending.pack(keys):
            yield Portion(waiting=waiting)
        for place, timelines in enumerate(self.timelines.by_stream):
            for some in _stretches(list(timelines.by_key), keys):
                watermark = self.timelines.watermark
                lines = [(key, pack([timelines], key, watermark)[0]) for key in some]
                yield Portion(stream=place, lines=lines)

    def begin(self, origin: Origin) -> None:
        """Give up the state, and begin with the watermark of another one.

        Raises:
            BadFile: that is of other features or another lateness, or ahead of the clock.
        """
        timelines = self.timelines
        origin.require(definitions=self.plan.digest, lateness=timelines.lateness, now=self._clock())
        timelines.watermark = origin.watermark
        for stream in timelines.by_stream:
            stream.by_key.clear()
        self._pending.clear()

    def put(self, portion: Portion) -> None:
        """Take over a portion of a state that this engine began with."""
        timelines = self.timelines.by_stream[portion.stream]
        for key, line in portion.lines:
            unpack([timelines], tuple(key) if isinstance(key, list) else key, [line])
        self._pending.unpack(portion.waiting)

    def snapshot(self) -> bytes:
        """The whole state, for `restore` in another process."""
        return Snapshot(self.origin(), list(self.portions())).encode()

    def restore(self, data: bytes) -> None:
        """Take over the state that `snapshot` was taken of.

        Raises:
            BadFile: it is no snapshot, one of other features or another lateness, or one ahead of
                the clock.
        """
        snapshot = Snapshot.decode(data)
        self.begin(snapshot.origin)
        for portion in snapshot.portions:
            self.put(portion)

    @property
    def source(self) -> str:
        """The Python that was generated for the plan; tracebacks and debuggers show it too."""
        return self.timelines.source

    @property
    def newest(self) -> int:
        """The latest event time seen that was not in the future, in microseconds.

        Windows are kept whole for `lateness` before it.
        """
        return self.timelines.newest

    @property
    def overtaken(self) -> bool:
        """Whether the clock was set back so far that windows reach events already forgotten."""
        return overtaken(self.timelines.watermark, self._clock(), self.timelines.lateness)

    @property
    def keys(self) -> int:
        """How many timelines there are: one per stream and key."""
        return self.timelines.keys

    @property
    def events(self) -> int:
        """How many events the timelines hold; events that a resolution has merged count once."""
        return sum(self.census())

    def census(self) -> Iterator[int]:
        """`events` in batches, between which a caller can pause."""
        return self.timelines.census()

    @property
    def pending(self) -> int:
        """How many payments wait for a result or a label that some window reaches."""
        return len(self._pending)

    def pendings(self) -> Iterator[Pending]:
        """The payments that wait for a result or a label, oldest first, as far as they are kept."""
        return iter(self._pending)


def _stretches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in stretches of this size."""
    return (items[at : at + size] for at in range(0, len(items), size))
