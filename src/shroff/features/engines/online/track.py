"""A stream's timelines by key: what a payment adds to them, and how windows are read from them."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.features.engines.online.columns import Packed
from shroff.features.engines.online.measures import Layout, Read
from shroff.features.engines.online.timeline import Timeline
from shroff.features.plan import Measure, Slot, Stream
from shroff.features.window import FOREVER, Window, after, upto

Key = Value | tuple[Value, ...]
Cells = list[int | float | None]


class Reading(NamedTuple):
    """A window of a stream, and how the measures that fill these cells are read."""

    window: Window
    measures: tuple[tuple[int, Read], ...]


class Track:
    """The timelines of one stream, the longest idle first.

    Args:
        cells: where the measures of each slot are put, in a list that is filled for each payment.
    """

    def __init__(self, stream: Stream, schema: Schema, cells: Mapping[tuple[Slot, Measure], int]) -> None:
        self.later = stream.later
        self.horizon = stream.horizon
        self.timelines: OrderedDict[Key, Timeline] = OrderedDict()
        self._columns = stream.columns
        self._where = stream.where.closure() if stream.where else None
        self._layout = layout = Layout(stream, schema)
        readings = [
            Reading(slot.window, tuple((cells[slot, item], layout.read(item, slot.window)) for item in slot.measures))
            for slot in stream.slots.values()
        ]
        self._before = [reading for reading in readings if not reading.window.include_current]
        self._current = [reading for reading in readings if reading.window.include_current]
        self._unseen = layout.timeline()

    def timeline(self, packed: Sequence[Packed]) -> Timeline:
        """The timeline that was packed."""
        line = self._layout.timeline()
        line.unpack(packed)
        return line

    def visit(self, payment: Payment, cells: Cells, watermark: int) -> None:
        """Fill the cells of a payment; those after it see it, unless a result or label must arrive first."""
        key = self.key(payment.values)
        if key is None:
            return
        self._read(self._before, key, payment, cells)
        if not self.later:
            self.add(payment, payment.values, watermark)
        if self._current:
            self._read(self._current, key, payment, cells)

    def add(self, payment: Payment, values: Mapping[str, Value], watermark: int) -> None:
        """Add a payment to its key's timeline, if it meets the condition, and forget what lies beyond reach.

        `values` are the payment's with what is known of it by now; no window reaches further back from
        `watermark` than the horizon.
        """
        key = self._key_of_event(values)
        if key is None:
            return
        limit = watermark - self.horizon
        line = self.timelines.get(key)
        if line is None:
            line = self.timelines[key] = self._layout.timeline()
        else:
            self.timelines.move_to_end(key)
            line.forget(limit)
        grain = self._layout.grain
        time = payment.time // grain * grain if grain else payment.time
        line.add(time, [cell(payment) for cell in self._layout.cells], joins=grain > 0)
        # each payment brings at most one key, so two at a time keep up
        for _ in range(2):
            idle, line = next(iter(self.timelines.items()))
            if line.times[-1] > limit:
                break
            del self.timelines[idle]

    def remove(self, payment: Payment) -> None:
        """Undo `add`."""
        key = self._key_of_event(payment.values)
        line = self.timelines.get(key)
        if line is not None:
            grain = self._layout.grain
            time = payment.time // grain * grain if grain else payment.time
            line.remove(time, [cell(payment) for cell in self._layout.cells], joins=grain > 0)
            if not line.times:
                del self.timelines[key]

    def key(self, values: Mapping[str, Value]) -> Key:
        """The key of a payment; None when one of its columns is null."""
        if len(self._columns) == 1:
            return values.get(self._columns[0])
        parts = tuple([values.get(name) for name in self._columns])
        return None if None in parts else parts

    def _key_of_event(self, values: Mapping[str, Value]) -> Key:
        """The key, None also when the condition is not met."""
        return self.key(values) if self._where is None or self._where(values) is True else None

    def _read(self, readings: list[Reading], key: Key, payment: Payment, cells: Cells) -> None:
        line = self.timelines.get(key, self._unseen)
        times, time = line.times, payment.time
        for (window, delay, resolution, _), measures in readings:
            oldest = after(time, window, delay, resolution) if resolution else time - delay - window
            newest = upto(time, delay, resolution) if delay else FOREVER
            low = bisect_right(times, oldest)
            high = bisect_right(times, newest) if delay else len(times)
            for cell, read in measures:
                cells[cell] = read(line, low, high, oldest, newest, payment)
