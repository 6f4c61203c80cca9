"""The engine with its state in memory: payments one by one, results and labels in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from shroff.clock import Clock, overtaken, system_time
from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.errors import BadFile
from shroff.features.engines.online.base import Observed
from shroff.features.engines.online.bulk import Known, Table, awaited
from shroff.features.engines.online.pending import Notice, Pending, PendingPayments
from shroff.features.engines.online.plan_timelines import (
    PlanTimelines,
    columns_awaited,
    pack,
    unpack,
)
from shroff.features.engines.online.snapshot import Snapshot
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.features.streams import Later


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
        features = self.timelines.observe(payment, self._clock())
        self._await(payment)
        return features

    def count(self, payment: Payment) -> None:
        """`observe` without features, several times as fast: for a history."""
        self.timelines.count(payment, self._clock())
        self._await(payment)

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

    def _await(self, payment: Payment) -> None:
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
        if payment_id not in self._pending:
            return False
        change = (
            None
            if value is None
            else self._pending.tell(payment_id, event, Notice(value, rank, arrived))
        )
        if change is not None:
            self.timelines.learn(
                change.payment, event, change.known, self.timelines.later, before=change.before
            )
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

    def snapshot(self) -> bytes:
        """The whole state, for `restore` in another process."""
        watermark = self.timelines.watermark
        return Snapshot(
            definitions=self.plan.digest,
            lateness=self.timelines.lateness,
            watermark=watermark,
            by_stream=[
                [(key, pack([timelines], key, watermark)[0]) for key in list(timelines.by_key)]
                for timelines in self.timelines.by_stream
            ],
            pending=self._pending.pack(),
        ).encode()

    def restore(self, data: bytes) -> None:
        """Take over the state that `snapshot` was taken of.

        Raises:
            BadFile: it is no snapshot, one of other features or another lateness, or one ahead of
                the clock.
        """
        snapshot = Snapshot.decode(
            data, definitions=self.plan.digest, lateness=self.timelines.lateness
        )
        if overtaken(snapshot.watermark, self._clock(), self.timelines.lateness):
            raise BadFile(
                "expected a snapshot from before now, got one that is ahead of the clock: rebuild "
                "the state."
            )
        self.timelines.watermark = snapshot.watermark
        for timelines, lines in zip(self.timelines.by_stream, snapshot.by_stream, strict=True):
            timelines.by_key.clear()
            for key, line in lines:
                unpack([timelines], tuple(key) if isinstance(key, list) else key, [line])
        self._pending.unpack(snapshot.pending)

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
