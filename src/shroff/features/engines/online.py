"""The online engine: features of one payment at a time, from state that every payment extends.

State is kept per stream and key as a `Timeline`: event times in order with running sums beside them, and
for each column counted distinct the latest time of every value. A window is then two binary searches,
whatever its length, and a new window needs no new state. Events that no window can reach are forgotten.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shroff.collect import Payment, Schema, money
from shroff.collect.payment import Value
from shroff.features.define import FeatureGroup
from shroff.features.engines.rows import reader
from shroff.features.plan import PRESENT, Later, Output, Plan, Slot, Stream
from shroff.features.window import after, micros, upto

Key = Value | tuple[Value, ...]
Cell = int | None


class Timeline:
    """One key's events of one stream, in order of time (ties in order of arrival).

    `sums[c][i]` is the running sum of column `c` before event `i`, so it has one item more than `times`.
    `latest[d]` maps each value of column `d` to its latest time; `newest[d]` has those times in order.
    """

    __slots__ = ("latest", "newest", "sums", "times", "values")

    def __init__(self, totals: int, distincts: int) -> None:
        self.times = array("q")
        self.sums = [array("q", (0,)) for _ in range(totals)]
        self.values: list[list[Value]] = [[] for _ in range(distincts)]
        self.latest: list[dict[Value, int]] = [{} for _ in range(distincts)]
        self.newest = [array("q") for _ in range(distincts)]

    def add(self, time: int, units: Sequence[int], values: Sequence[Value]) -> None:
        """Put an event in its place in time."""
        times = self.times
        at = len(times)
        if at and times[-1] > time:
            at = bisect_right(times, time)
        times.insert(at, time)
        for sums, unit in zip(self.sums, units, strict=True):
            sums.insert(at + 1, sums[at] + unit)
            for later in range(at + 2, len(sums)):
                sums[later] += unit
        for column, value in enumerate(values):
            self.values[column].insert(at, value)
            if value is not None:
                self._see(column, value, time)

    def _see(self, column: int, value: Value, time: int) -> None:
        latest, newest = self.latest[column], self.newest[column]
        before = latest.get(value)
        if before is None:
            newest.insert(bisect_right(newest, time), time)
            latest[value] = time
        elif time > before:
            del newest[bisect_left(newest, before)]
            newest.insert(bisect_right(newest, time), time)
            latest[value] = time

    def remove(self, time: int, units: Sequence[int], values: Sequence[Value]) -> None:
        """Undo `add`: take out one event that is equal to this one."""
        at = bisect_left(self.times, time)
        while not self._is(at, units, values):
            at += 1
        del self.times[at]
        for sums, unit in zip(self.sums, units, strict=True):
            del sums[at + 1]
            for later in range(at + 1, len(sums)):
                sums[later] -= unit
        for column, value in enumerate(values):
            del self.values[column][at]
            if value is not None and self.latest[column][value] == time:
                self._unsee(column, value, time)

    def _is(self, at: int, units: Sequence[int], values: Sequence[Value]) -> bool:
        same_units = all(sums[at + 1] - sums[at] == unit for sums, unit in zip(self.sums, units, strict=True))
        return same_units and all(kept[at] == value for kept, value in zip(self.values, values, strict=True))

    def _unsee(self, column: int, value: Value, time: int) -> None:
        newest = self.newest[column]
        del newest[bisect_left(newest, time)]
        del self.latest[column][value]
        times = [t for t, kept in zip(self.times, self.values[column], strict=True) if kept == value]
        if times:
            self._see(column, value, times[-1])

    def distinct(self, column: int, low: int, high: int, bound: int) -> int:
        """Different values among events `low` … `high - 1`, the first of which is later than `bound`."""
        newest = self.newest[column]
        if high == len(self.times):
            return len(newest) - bisect_right(newest, bound)
        return len({value for value in self.values[column][low:high] if value is not None})

    def forget(self, limit: int) -> None:
        """Drop events at or before `limit`, once they are half of what is kept."""
        times = self.times
        old = bisect_right(times, limit)
        if old < 16 or old * 2 < len(times):
            return
        del times[:old]
        for sums in self.sums:
            del sums[:old]
        for column, values in enumerate(self.values):
            del values[:old]
            newest = self.newest[column]
            del newest[: bisect_right(newest, limit)]
            self.latest[column] = {value: time for value, time in self.latest[column].items() if time > limit}


@dataclass(frozen=True)
class _Read:
    """One slot of a track: its bounds, and the cells it fills."""

    window: int
    delay: int
    resolution: int
    count: int
    totals: tuple[tuple[int, int], ...]
    distincts: tuple[tuple[int, int], ...]
    last: int


class _Track:
    """A stream, its timelines by key, and how its windows are read."""

    def __init__(self, stream: Stream, schema: Schema, cell: Callable[[], int]) -> None:
        self.later = stream.later
        self.fraud = stream.fraud
        self.where = stream.where.closure() if stream.where else None
        self.horizon = stream.horizon
        self.timelines: dict[Key, Timeline] = {}
        self.before: list[_Read] = []
        self.current: list[_Read] = []
        self.reads: dict[Slot, _Read] = {}
        for slot in stream.slots.values():
            read = _read(slot, cell)
            self.reads[slot] = read
            (self.current if slot.window.include_current else self.before).append(read)
        self._columns = stream.columns
        self._units = [_unit_reader(name, schema) for name in stream.totals]
        self._values = tuple(stream.distincts)

    def key(self, values: Mapping[str, Value]) -> Key:
        """The key of a payment; None when one of its columns is null."""
        if len(self._columns) == 1:
            return values.get(self._columns[0])
        parts = tuple([values.get(name) for name in self._columns])
        return None if None in parts else parts

    def read(self, reads: list[_Read], key: Key, time: int, cells: list[Cell]) -> None:
        """Fill the cells of these windows at a payment's time; all None when the payment has no key."""
        line = self.timelines.get(key)
        for read in reads:
            if line is None:
                _fill(read, cells, None if key is None else 0)
                continue
            times = line.times
            if read.resolution:
                bound = after(time, read.window, read.delay, read.resolution)
            else:
                bound = time - read.delay - read.window
            low = bisect_right(times, bound)
            high = bisect_right(times, upto(time, read.delay, read.resolution)) if read.delay else len(times)
            cells[read.count] = high - low
            for column, cell in read.totals:
                sums = line.sums[column]
                cells[cell] = sums[high] - sums[low]
            for column, cell in read.distincts:
                cells[cell] = line.distinct(column, low, high, bound)
            if read.last >= 0:
                cells[read.last] = times[high - 1] if high > low else None

    def add(self, key: Key, payment: Payment, watermark: int) -> None:
        """Add a payment to its key's timeline, and forget what nothing reaches before `watermark`."""
        limit = watermark - self.horizon
        # popped and put back: timelines stay in order of their last event, the idle ones in front
        line = self.timelines.pop(key, None)
        if line is None:
            line = Timeline(len(self._units), len(self._values))
        self.timelines[key] = line
        line.forget(limit)
        line.add(payment.time, self._units_of(payment), self._values_of(payment))
        for _ in range(2):
            idle = next(iter(self.timelines))
            times = self.timelines[idle].times
            if times and times[-1] > limit:
                break
            del self.timelines[idle]

    def remove(self, key: Key, payment: Payment) -> None:
        """Undo `add`."""
        self.timelines[key].remove(payment.time, self._units_of(payment), self._values_of(payment))

    def _units_of(self, payment: Payment) -> list[int]:
        return [read(payment) for read in self._units]

    def _values_of(self, payment: Payment) -> list[Value]:
        return [payment.values.get(name) for name in self._values]


@dataclass
class _Pending:
    """A payment whose result or label may still come, and the later events that have."""

    payment: Payment
    known: dict[Later, Value] = field(default_factory=dict)


class OnlineEngine:
    """Features of payments as they come.

    Args:
        lateness: how much later than its event time a payment may arrive and still see all it should; state is
            kept that much longer than the longest window.

    Payments must be observed in order of arrival, each once; `forget` undoes one that came to nothing.
    """

    def __init__(self, groups: Sequence[FeatureGroup], schema: Schema, *, lateness: str = "1d") -> None:
        plan = Plan(groups, schema)
        self.plan = plan
        self._cells = 0
        self._tracks = [_Track(stream, plan.schema, self._cell) for stream in plan.streams]
        self._payments = [track for track in self._tracks if not track.later]
        self._events = [track for track in self._tracks if track.later]
        reads = {slot: read for track in self._tracks for slot, read in track.reads.items()}
        self._finish = [(output.name, _finisher(output, reads)) for output in plan.outputs]
        self._rows = [(row.name, reader(row, plan.schema.time, plan.schema.timezone)) for row in plan.rows]
        self._lateness = micros(lateness)
        self._watermark = 0
        self._horizon = max((track.horizon for track in self._events), default=0)
        self._pending: dict[str, _Pending] = {}
        self._order: deque[tuple[int, str]] = deque()

    def _cell(self) -> int:
        self._cells += 1
        return self._cells - 1

    def observe(self, payment: Payment) -> dict[str, Value]:
        """The payment's features, by name; from now on later payments see it.

        Returns:
            One value per feature in the order of the plan: float, text, or None.
        """
        time, values = payment.time, payment.values
        cells: list[Cell] = [None] * self._cells
        self._watermark = max(self._watermark, time - self._lateness)
        for track in self._events:
            track.read(track.before, track.key(values), time, cells)
        for track in self._payments:
            key = track.key(values)
            track.read(track.before, key, time, cells)
            if key is not None and (track.where is None or track.where(values) is True):
                track.add(key, payment, self._watermark)
            if track.current:
                track.read(track.current, key, time, cells)
        if self._events:
            self._remember(payment)
        return self._features(time, values, cells)

    def _features(self, time: int, values: dict[str, Value], cells: list[Cell]) -> dict[str, Value]:
        features: dict[str, Value] = {name: finish(cells, time) for name, finish in self._finish}
        if self._rows:
            seen = {**values, **features}
            for name, read in self._rows:
                features[name] = seen[name] = read(seen)
        return features

    def _remember(self, payment: Payment) -> None:
        self._pending[payment.id] = _Pending(payment)
        self._order.append((payment.time, payment.id))
        limit = self._watermark - self._horizon
        while self._order and self._order[0][0] <= limit:
            _, old = self._order.popleft()
            self._pending.pop(old, None)

    def later(self, payment_id: str, event: Later, value: Value) -> bool:
        """A payment's result or label has arrived: payments observed from now on see it.

        The first of each kind counts. Returns whether the payment is one that windows still reach.
        """
        pending = self._pending.get(payment_id)
        if pending is None or event in pending.known or value is None:
            return pending is not None
        pending.known[event] = value
        payment = pending.payment
        for track, key in self._complete(pending, event):
            track.add(key, payment, self._watermark)
        return True

    def _complete(self, pending: _Pending, event: Later) -> list[tuple[_Track, Key]]:
        """The tracks that count a payment now that this event of it is known."""
        schema = self.plan.schema
        columns = {"result": schema.result, "label": schema.label}
        values = pending.payment.values | {str(columns[kind]): known for kind, known in pending.known.items()}
        complete: list[tuple[_Track, Key]] = []
        for track in self._events:
            if event not in track.later or not track.later <= pending.known.keys():
                continue
            key = track.key(values)
            passes = track.where is None or track.where(values) is True
            if key is not None and passes and (not track.fraud or pending.known.get("label") is True):
                complete.append((track, key))
        return complete

    def forget(self, payment: Payment) -> None:
        """Undo `observe` for a payment that was not accepted after all (no later event of it has arrived)."""
        for track in self._payments:
            key = track.key(payment.values)
            if key is not None and (track.where is None or track.where(payment.values) is True):
                track.remove(key, payment)
        self._pending.pop(payment.id, None)

    @property
    def newest(self) -> int:
        """The latest event time seen, in microseconds; windows are kept whole for `lateness` before it."""
        return self._watermark + self._lateness

    @property
    def keys(self) -> int:
        """How many timelines there are: one per stream and key."""
        return sum(len(track.timelines) for track in self._tracks)

    @property
    def events(self) -> int:
        """How many events the timelines hold."""
        return sum(len(line.times) for track in self._tracks for line in track.timelines.values())

    @property
    def pending(self) -> int:
        """How many payments may still get a result or a label that some window reaches."""
        return len(self._pending)


def _read(slot: Slot, cell: Callable[[], int]) -> _Read:
    window = slot.window
    return _Read(
        window=window.window,
        delay=window.delay,
        resolution=window.resolution,
        count=cell(),
        totals=tuple((at, cell()) for at in slot.totals),
        distincts=tuple((at, cell()) for at in slot.distincts),
        last=cell() if slot.last else -1,
    )


def _fill(read: _Read, cells: list[Cell], value: Cell) -> None:
    cells[read.count] = value
    for _, cell in (*read.totals, *read.distincts):
        cells[cell] = value


def _unit_reader(name: str, schema: Schema) -> Callable[[Payment], int]:
    """What a payment adds to a column's total, in ten-thousandths."""
    if name.startswith(PRESENT):
        column = name.removeprefix(PRESENT)
        return lambda payment: int(payment.values.get(column) is not None)
    if name == schema.amount:
        return lambda payment: payment.units

    def units(payment: Payment) -> int:
        value = payment.values.get(name)
        return 0 if value is None else round(float(value) * money.UNITS)

    return units


_SECOND: Final = 1e6
_Finisher = Callable[[list[Cell], int], Value]


def _finisher(output: Output, reads: Mapping[Slot, _Read]) -> _Finisher:
    """How a feature's value follows from the cells; None where the payment has no key."""
    read = reads[output.slot]
    if output.formula == "risk":
        assert output.base is not None  # a risk always has payments to divide by
        return _ratio(read.count, reads[output.base[1]].count)
    if output.formula == "seconds_since_last":
        return _seconds(read.last)
    if output.formula in ("total", "mean"):
        cell = dict(read.totals)[output.at]
        if output.formula == "total":
            return _scaled(cell)
        return _mean(cell, read.count if output.base is None else dict(read.totals)[output.base[2]])
    return _plain(read.count if output.formula == "count" else dict(read.distincts)[output.at])


def _plain(cell: int) -> _Finisher:
    def finish(cells: list[Cell], time: int) -> Value:
        value = cells[cell]
        return None if value is None else float(value)

    return finish


def _scaled(cell: int) -> _Finisher:
    def finish(cells: list[Cell], time: int) -> Value:
        value = cells[cell]
        return None if value is None else float(value) / money.UNITS

    return finish


def _mean(cell: int, divisor: int) -> _Finisher:
    def finish(cells: list[Cell], time: int) -> Value:
        total, n = cells[cell], cells[divisor]
        return float(total) / n / money.UNITS if n and total is not None else None

    return finish


def _ratio(part: int, whole: int) -> _Finisher:
    def finish(cells: list[Cell], time: int) -> Value:
        some, every = cells[part], cells[whole]
        return None if some is None or every is None else some / max(every, 1)

    return finish


def _seconds(cell: int) -> _Finisher:
    def finish(cells: list[Cell], time: int) -> Value:
        last = cells[cell]
        return None if last is None else (time - last) / _SECOND

    return finish
