"""The timelines of a plan by stream and key: events extend them, features are read from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.expression import Expression
from shroff.features.engines.embedding import UNITS_PER_COMPONENT, vector_reader
from shroff.features.engines.online.bulk import Known, Table, fill
from shroff.features.engines.online.codegen import (
    Count,
    compile_count,
    compile_observe,
    count_source,
    observe_source,
)
from shroff.features.engines.online.columns import Packed
from shroff.features.engines.online.links import Needed, walks
from shroff.features.engines.online.stream_timelines import (
    Key,
    StreamTimelines,
    shared_key,
    together,
)
from shroff.features.engines.rows import reader
from shroff.features.plan import Plan
from shroff.features.streams import Later, Stream
from shroff.features.window import micros

_BATCH_TIMELINES: Final = 4_096
PackedTimeline = list[Packed] | None
"""A packed timeline; None where a key has none."""


class PlanTimelines:
    """Timelines that payments, results and labels extend, and the features that follow from them.

    `watermark` is the event time from which windows are complete, microseconds: `lateness` before
    the newest. No payment moves it past `lateness` before the clock, so one from the future makes
    none of the present late. `source` is the Python that was generated for the plan: it reads every
    window of a payment and adds it.
    """

    def __init__(self, plan: Plan, *, lateness: str) -> None:
        self.plan = plan
        self.lateness = micros(lateness)
        self.watermark = 0
        self.by_stream = [
            StreamTimelines(streams, plan, self.lateness) for streams in together(plan.streams)
        ]
        self.later = [timelines for timelines in self.by_stream if timelines.later]
        self.source = observe_source(plan, self.by_stream)
        self._observe = compile_observe(self.source, plan, self.by_stream)
        self._walks = walks(plan.links, self.by_stream)
        self._rows = [
            (row.name, reader(row, plan.schema.time, plan.schema.timezone)) for row in plan.rows
        ]
        read = {
            name
            for row in plan.rows
            if isinstance(row.source, Expression)
            for name in row.source.columns
        }
        self._vectors = [
            (table.components, vector_reader(table, plan.schema))
            for table in plan.vectors.values()
            if read & set(table.components)
        ]
        self._columns: dict[Later, str] = {
            "result": str(plan.schema.result),
            "label": str(plan.schema.label),
        }

    @property
    def keys(self) -> int:
        """How many timelines there are: one per key of an entity and condition, mostly."""
        return sum(len(timelines.by_key) for timelines in self.by_stream)

    def census(self) -> Iterator[int]:
        """How many events they hold, in batches of timelines, between which a caller can pause."""
        for timelines in self.by_stream:
            lines = list(timelines.by_key.values())
            for start in range(0, len(lines), _BATCH_TIMELINES):
                yield sum(len(line.times) for line in lines[start : start + _BATCH_TIMELINES])

    @property
    def newest(self) -> int:
        """The latest event time that is not in the future."""
        return self.watermark + self.lateness

    def observe(
        self, payment: Payment, now: int, fetch: Callable[[Needed], None] | None = None
    ) -> dict[str, Value]:
        """The payment's features by name; from now on later payments see it.

        Args:
            now: the clock's time, microseconds; the watermark stays `lateness` before it.
            fetch: brings the timelines up to date that links read next; by default all are.
        """
        linked = self._linked(payment, fetch) if self._walks else None
        time = payment.time
        # `_advance`, inlined
        watermark = (time if time < now else now) - self.lateness
        if watermark > self.watermark:
            self.watermark = watermark
        features = self._observe(payment, self.watermark)
        if linked is not None:
            features |= linked
        if self._rows:
            seen = features | payment.values  # the larger first: it is copied, not merged
            for names, vector in self._vectors:
                seen |= zip(
                    names,
                    (
                        number / UNITS_PER_COMPONENT
                        for number in vector(payment.units, time, payment.values)
                    ),
                    strict=True,
                )
            for name, read in self._rows:
                features[name] = seen[name] = read(seen)
        return features

    def count(self, payment: Payment, now: int) -> None:
        """What `observe` does, without features: later payments see this one."""
        self._advance(payment.time, now)
        self._count(payment, self.watermark)

    def count_in(self, by_stream: Sequence[StreamTimelines], payment: Payment, now: int) -> None:
        """`count` in some of the timelines."""
        self._advance(payment.time, now)
        for timelines in by_stream:
            if not timelines.later:
                timelines.add(payment, payment.values, self.watermark)

    @cached_property
    def _count(self) -> Count:
        """Only an engine that starts from a history needs it."""
        return compile_count(count_source(self.plan, self.by_stream), self.plan, self.by_stream)

    def fill(self, table: Table, known: Mapping[Later, Known], now: int) -> Iterator[int]:
        """What `count` does for a table's payments, for timelines without keys; yields how many
        events they got, in stretches.
        """
        if len(table):
            self._advance(int(table.times.max()), now)
        for timelines in self.by_stream:
            yield from fill(timelines, table, known, self.watermark)

    def _advance(self, time: int, now: int) -> None:
        watermark = (time if time < now else now) - self.lateness
        if watermark > self.watermark:
            self.watermark = watermark

    def _linked(self, payment: Payment, fetch: Callable[[Needed], None] | None) -> dict[str, Value]:
        """What follows from links of a payment."""
        features: dict[str, Value] = {}
        for walk in self._walks:
            steps = walk.of(payment)
            try:
                while True:
                    needed = next(steps)
                    if fetch is not None and needed.keys:
                        fetch(needed)
            except StopIteration as end:
                features |= end.value
        return features

    def needed(self, payment: Payment) -> Iterator[Needed]:
        """The timelines that links of a payment read, as far as these timelines tell."""
        for walk in self._walks:
            yield from walk.of(payment)

    def forget(self, payment: Payment) -> None:
        """Undo `observe`."""
        for timelines in self.by_stream:
            if not timelines.later:
                timelines.remove(payment, payment.values, self.watermark)

    def learn(
        self,
        payment: Payment,
        event: Later,
        known: Mapping[Later, Value],
        by_stream: Sequence[StreamTimelines],
        *,
        before: Mapping[Later, Value],
    ) -> None:
        """Let these timelines see a payment's new result or label, or another label that stands.

        Args:
            known: what is known of the payment now.
            before: what was known before.
        """
        now, then = self._with(payment, known), self._with(payment, before)
        for timelines in by_stream:
            if event in timelines.later and timelines.later <= known.keys():
                if event in before:
                    timelines.remove(payment, then, self.watermark)
                timelines.add(payment, now, self.watermark)

    def _with(self, payment: Payment, known: Mapping[Later, Value]) -> dict[str, Value]:
        return payment.values | {self._columns[kind]: value for kind, value in known.items()}


def pack(by_stream: Sequence[StreamTimelines], key: Key, watermark: int) -> list[PackedTimeline]:
    """The timelines of one key as MessagePack values, without events that no window reaches."""
    packed: list[PackedTimeline] = []
    for timelines in by_stream:
        line = timelines.by_key.get(key)
        packed.append(None if line is None else line.pack(watermark - timelines.horizon))
        if line is not None and not line.times:
            del timelines.by_key[key]
    return packed


def unpack(
    by_stream: Sequence[StreamTimelines], key: Key, packed: Sequence[PackedTimeline]
) -> None:
    """Replace one key's timelines by packed ones."""
    for timelines, line in zip(by_stream, packed, strict=True):
        timelines.by_key.pop(key, None)
        if line is not None and line[0]:
            timelines.by_key[shared_key(key)] = timelines.timeline(line)


def columns_read(streams: Sequence[Stream], schema: Schema) -> set[str]:
    """The columns of a payment that its timelines need: keys, conditions and what is counted,
    except amounts, which are summed from its units.
    """
    keys = {name for stream in streams for name in stream.columns}
    conditions = {name for stream in streams if stream.where for name in stream.where.columns}
    counted = {name for stream in streams for name in stream.reads} - {schema.amount, schema.time}
    return keys | ((conditions | counted) - schema.later)


def columns_awaited(plan: Plan) -> set[str]:
    """The same for timelines that wait for a payment's result or label."""
    return columns_read([stream for stream in plan.streams if stream.later], plan.schema)
