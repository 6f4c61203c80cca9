"""Measures of a timeline: which columns a stream needs, what a payment gives them, how each measure is read."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, Final, Literal

from shroff.collect import Payment, Schema, money
from shroff.features.aggregates import DECAY, LARGEST, NONE, Kind, term
from shroff.features.engines.online.columns import NOTHING, Cell, Column, Names, Records, Running
from shroff.features.engines.online.timeline import Timeline
from shroff.features.plan import Measure, Stream
from shroff.features.window import Window

Read = Callable[[Timeline, int, int, int, int, Payment], int | float]
"""A measure of the events in places `low` … `high - 1`, those later than `after` and not than `upto`, as the
payment that is judged sees them."""

Part = Literal["one", "total", "present", "square", "min", "max", "names"]
"""What a column of a timeline is made of: running sums, falling records, names."""

_SINGLE: Final = frozenset[Kind]({"first", "last", "min", "max"})
"""Measures that need every event on its own."""


class Layout:
    """Which columns the timelines of a stream have.

    Attributes:
        grain: events of one such step of time are kept as one, microseconds; 0 keeps every event on its own.
        cells: what a payment gives each column.
    """

    def __init__(self, stream: Stream, schema: Schema) -> None:
        single = any(measure.kind in _SINGLE for measure in stream.measures)
        self.grain = 0 if single else stream.resolution
        self.cells: list[Callable[[Payment], Cell]] = []
        self._schema = schema
        self._places: dict[tuple[Part, str | None], int] = {}
        self._parts: list[Part] = []

    def timeline(self) -> Timeline:
        """A timeline without events."""
        times = array("q")
        return Timeline(times, tuple([self._column(part, times) for part in self._parts]))

    def read(self, measure: Measure, window: Window) -> Read:
        """How a measure is read from a timeline."""
        return READERS[measure.kind](self, measure.column, window)

    def place(self, part: Part, column: str | None) -> int:
        """Where a column is among those of a timeline, which has it from now on."""
        if (part, column) not in self._places:
            self._places[part, column] = len(self._parts)
            self._parts.append(part)
            self.cells.append(_cell(part, column, self._schema))
        return self._places[part, column]

    def _column(self, part: Part, times: array[int]) -> Column[Any]:
        if part == "names":
            return Names(joins=self.grain > 0)
        return Records(times) if part in ("min", "max") else Running()


def _cell(part: Part, column: str | None, schema: Schema) -> Callable[[Payment], Cell]:
    if column is None:
        return lambda payment: 1
    if part == "names":
        return lambda payment: payment.values.get(column)
    if part == "present" and schema.scales[column] not in ("amount", "numeric"):
        return lambda payment: int(payment.values.get(column) is not None)
    units = _units(column, schema)
    number: Callable[[int], int] = {
        "total": lambda value: value,
        "present": lambda value: 1,
        "square": lambda value: value * value,
        "min": lambda value: value,
        "max": lambda value: -value,
    }[part]
    nothing = NOTHING if part in ("min", "max") else 0

    def cell(payment: Payment) -> int:
        value = units(payment)
        return nothing if value == NONE else number(value)

    return cell


def _units(column: str, schema: Schema) -> Callable[[Payment], int]:
    """A payment's number in a column, in ten-thousandths; `NONE` where there is none."""
    if column == schema.amount:
        return lambda payment: payment.units

    def units(payment: Payment) -> int:
        value = payment.values.get(column)
        return NONE if value is None else round(min(max(float(value) * money.UNITS, -LARGEST), LARGEST))

    return units


def _count(layout: Layout, column: str | None, window: Window) -> Read:
    if layout.grain:
        return _total(layout, None, window)
    return lambda line, low, high, after, upto, payment: high - low


def _total(layout: Layout, column: str | None, window: Window) -> Read:
    return _running(layout.place("total" if column else "one", column))


def _present(layout: Layout, column: str | None, window: Window) -> Read:
    return _running(layout.place("present", column))


def _running(place: int) -> Read:
    def read(line: Timeline, low: int, high: int, after: int, upto: int, payment: Payment) -> int:
        sums: list[int] = line.columns[place].sums
        return sums[high] - sums[low]

    return read


def _scatter(layout: Layout, column: str | None, window: Window) -> Read:
    place = layout.place("square", column)
    total, present = _total(layout, column, window), _present(layout, column, window)

    def read(line: Timeline, low: int, high: int, after: int, upto: int, payment: Payment) -> float:
        count = present(line, low, high, after, upto, payment)
        if not count:
            return 0.0
        squares, held = line.columns[place].sums, total(line, low, high, after, upto, payment)
        mean, rest = divmod(held, count)
        return float(squares[high] - squares[low] - mean * (held + rest))

    return read


def _min(layout: Layout, column: str | None, window: Window) -> Read:
    place = layout.place("min", column)

    def read(line: Timeline, low: int, high: int, after: int, upto: int, payment: Payment) -> int:
        smallest: int = line.columns[place].smallest(low, high, after)
        return NONE if smallest == NOTHING else smallest

    return read


def _max(layout: Layout, column: str | None, window: Window) -> Read:
    place = layout.place("max", column)

    def read(line: Timeline, low: int, high: int, after: int, upto: int, payment: Payment) -> int:
        smallest: int = line.columns[place].smallest(low, high, after)
        return NONE if smallest == NOTHING else -smallest

    return read


def _distinct(layout: Layout, column: str | None, window: Window) -> Read:
    place = layout.place("names", column)
    return lambda line, low, high, after, upto, payment: line.columns[place].distinct(after, upto)


def _own(layout: Layout, column: str | None, window: Window) -> Read:
    place = layout.place("names", column)

    def read(line: Timeline, low: int, high: int, after: int, upto: int, payment: Payment) -> int:
        mine = payment.values.get(str(column))
        if mine is None:
            return NONE
        seen = line.columns[place].seen.get(mine)
        return seen.between(after, upto) if seen else 0

    return read


def _entropy(layout: Layout, column: str | None, window: Window) -> Read:
    place = layout.place("names", column)

    def read(line: Timeline, low: int, high: int, after: int, upto: int, payment: Payment) -> int:
        counts: list[int] = line.columns[place].counts(after, upto)
        return term(sum(counts)) - sum(map(term, counts))

    return read


def _top(layout: Layout, column: str | None, window: Window) -> Read:
    place = layout.place("names", column)
    return lambda line, low, high, after, upto, payment: max(line.columns[place].counts(after, upto), default=0)


def _decayed(layout: Layout, column: str | None, window: Window) -> Read:
    place = layout.place("total" if column else "one", column)
    delay, resolution, oldest = window.delay, window.resolution, len(DECAY) - 1

    def read(line: Timeline, low: int, high: int, after: int, upto: int, payment: Payment) -> float:
        times, sums = line.times, line.columns[place].sums
        now = (payment.time - delay) // resolution
        value = 0.0
        while low < high:
            step = times[low] // resolution
            start = sums[low]
            while low < high and times[low] // resolution == step:
                low += 1
            value += (sums[low] - start) * DECAY[min(max(now - step, 0), oldest)]
        return value

    return read


READERS: Final[dict[Kind, Callable[[Layout, str | None, Window], Read]]] = {
    "count": _count,
    "present": _present,
    "total": _total,
    "scatter": _scatter,
    "min": _min,
    "max": _max,
    "distinct": _distinct,
    "own": _own,
    "entropy": _entropy,
    "top": _top,
    "decayed": _decayed,
    "time": lambda layout, column, window: lambda line, low, high, after, upto, payment: payment.time,
    "first": lambda *_: lambda line, low, high, after, upto, payment: line.times[low] if low < high else NONE,
    "last": lambda *_: lambda line, low, high, after, upto, payment: line.times[high - 1] if low < high else NONE,
}
