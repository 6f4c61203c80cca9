"""A stream's timelines by key, and what extends them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.features.engines.online.columns import Cell, Packed
from shroff.features.engines.online.measures import HELPERS, Layout
from shroff.features.engines.online.timeline import Timeline
from shroff.features.plan import Stream

Key = Value | tuple[Value, ...]


class Track:
    """The timelines of one stream, the longest idle first.

    Attributes:
        later: the events that must arrive, besides the payment, before it counts.
        horizon: how far back any window reaches, microseconds.
        reads: how each measure of each window is read, as code.
        layout: when an event is kept and what it gives the columns, as code.
        unseen: the timeline of a key without events.
    """

    def __init__(self, stream: Stream, schema: Schema) -> None:
        self.later = stream.later
        self.horizon = stream.horizon
        self.timelines: OrderedDict[Key, Timeline] = OrderedDict()
        self.where = stream.where.closure() if stream.where else None
        self._columns = stream.columns
        self.layout = layout = Layout(stream, schema)
        self._joins = layout.grain > 0
        self.reads = {
            (slot, measure): layout.read(measure, slot.window)
            for slot in stream.slots.values()
            for measure in slot.measures
        }
        self.unseen = layout.timeline()
        code = f"lambda payment, values, time: ({layout.event})"
        self._event: Callable[[Payment, Mapping[str, Value], int], tuple[int, Sequence[Cell]]] = eval(code, {**HELPERS})

    def timeline(self, packed: Sequence[Packed]) -> Timeline:
        """The timeline that was packed."""
        line = self.layout.timeline()
        line.unpack(packed)
        return line

    def extend(self, key: Key, time: int, cells: Sequence[Cell], watermark: int) -> None:
        """Add an event to a key's timeline, and forget what lies beyond reach.

        No window reaches further back from `watermark` than the horizon.
        """
        timelines, limit = self.timelines, watermark - self.horizon
        line = timelines.get(key)
        if line is None:
            line = timelines[key] = self.layout.timeline()
        else:
            timelines.move_to_end(key)
            if line.times[0] <= limit:
                line.forget(limit)
        line.add(time, cells, joins=self._joins)
        if timelines[next(iter(timelines))].times[-1] <= limit:
            self._drop_idle(limit)

    def add(self, payment: Payment, values: Mapping[str, Value], watermark: int) -> None:
        """Add a payment, if it meets the condition; `values` are its own with what is known of it by now."""
        key = self._key(values)
        if key is not None:
            self.extend(key, *self._event(payment, values, payment.time), watermark)

    def remove(self, payment: Payment) -> None:
        """Undo `add`."""
        key = self._key(payment.values)
        line = self.timelines.get(key)
        if line is not None:
            line.remove(*self._event(payment, payment.values, payment.time), joins=self._joins)
            if not line.times:
                del self.timelines[key]

    def _drop_idle(self, limit: int) -> None:
        # each event brings at most one key, so two at a time keep up
        for _ in range(2):
            idle, line = next(iter(self.timelines.items()))
            if line.times[-1] > limit:
                return
            del self.timelines[idle]

    def _key(self, values: Mapping[str, Value]) -> Key:
        """The key of an event; None when one of its columns is null, or the condition is not met."""
        if self.where is not None and self.where(values) is not True:
            return None
        if len(self._columns) == 1:
            return values.get(self._columns[0])
        parts = tuple([values.get(name) for name in self._columns])
        return None if None in parts else parts
