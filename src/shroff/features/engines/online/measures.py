"""Measures of a timeline: which columns a stream needs, what a payment gives them, how each measure is read.

Both are Python expressions, of which `reading` makes one function for all features of a payment: a call for each
measure would cost several times what the measure does. An expression knows these names:

    payment, values, time   the payment that is judged, or added
    times, c0, c1 …         the timeline's event times, and its columns
    low, high               the places of the window's events: low … high - 1
    after, upto             their times: later than `after` and not later than `upto`

and those in `HELPERS`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, Final, Literal

from shroff.collect import Schema, money
from shroff.collect.payment import Value
from shroff.features.aggregates import DECAY, LARGEST, NONE, Kind, term
from shroff.features.engines.online.columns import NOTHING, Column, Names, Records, Running
from shroff.features.engines.online.timeline import Timeline
from shroff.features.plan import Measure, Stream
from shroff.features.window import Window

Code = str
"""A Python expression."""

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
        self.cells: list[Code] = []
        self._schema = schema
        self._places: dict[tuple[Part, str | None], int] = {}
        self._parts: list[Part] = []

    @property
    def time(self) -> Code:
        """The time at which an event is kept."""
        return f"time // {self.grain} * {self.grain}" if self.grain else "time"

    @property
    def event(self) -> Code:
        """The time of an event, and what it gives the columns."""
        return f"{self.time}, ({''.join(cell + ', ' for cell in self.cells)})"

    def timeline(self) -> Timeline:
        """A timeline without events."""
        times = array("q")
        return Timeline(times, tuple([self._column(part, times) for part in self._parts]))

    def read(self, measure: Measure, window: Window) -> Code:
        """How a measure is read from a timeline."""
        return READERS[measure.kind](self, measure.column, window)

    def place(self, part: Part, column: str | None) -> Code:
        """A column by its name among those of a timeline, which has it from now on."""
        if (part, column) not in self._places:
            self._places[part, column] = len(self._parts)
            self._parts.append(part)
            self.cells.append(_cell(part, column, self._schema))
        return f"c{self._places[part, column]}"

    def _column(self, part: Part, times: array[int]) -> Column[Any]:
        if part == "names":
            return Names(joins=self.grain > 0)
        return Records(times) if part in ("min", "max") else Running()


def _cell(part: Part, column: str | None, schema: Schema) -> Code:
    if column is None:
        return "1"
    value = f"values.get({column!r})"
    if part == "names":
        return value
    if part == "present" and schema.scales[column] not in ("amount", "numeric"):
        return f"int({value} is not None)"
    number = {"total": "{0}", "present": "1", "square": "{0} * {0}", "min": "{0}", "max": "-{0}"}[part]
    if column == schema.amount:
        return number.format("payment.units")
    nothing = "NOTHING" if part in ("min", "max") else "0"
    return f"{nothing} if {value} is None else " + number.format(f"units({value})")


def units(value: Value) -> int:
    """A number in ten-thousandths."""
    return round(min(max(float(value or 0.0) * money.UNITS, -LARGEST), LARGEST))


def _count(layout: Layout, column: str | None, window: Window) -> Code:
    return _total(layout, None, window) if layout.grain else "high - low"


def _total(layout: Layout, column: str | None, window: Window) -> Code:
    return _sum(layout.place("total" if column else "one", column))


def _present(layout: Layout, column: str | None, window: Window) -> Code:
    return _sum(layout.place("present", column))


def _sum(place: Code) -> Code:
    return f"{place}.sums[high] - {place}.sums[low]"


def _scatter(layout: Layout, column: str | None, window: Window) -> Code:
    squares = _sum(layout.place("square", column))
    return f"scatter({squares}, {_total(layout, column, window)}, {_present(layout, column, window)})"


def scatter(squares: int, total: int, count: int) -> float:
    """The sum of the squares of what values lie above the whole number below their mean."""
    if not count:
        return 0.0
    mean, rest = divmod(total, count)
    return float(squares - mean * (total + rest))


def smallest(records: Records, low: int, high: int, after: int) -> int:
    """The smallest number of a span."""
    found = records.smallest(low, high, after)
    return NONE if found == NOTHING else found


def largest(records: Records, low: int, high: int, after: int) -> int:
    """The largest number of a span, whose records are of negatives."""
    found = records.smallest(low, high, after)
    return NONE if found == NOTHING else -found


def own(names: Names, mine: Value, after: int, upto: int) -> int:
    """How often the payment's own name was seen in a span."""
    if mine is None:
        return NONE
    seen = names.seen.get(mine)
    return seen.between(after, upto) if seen else 0


def entropy(names: Names, after: int, upto: int) -> int:
    """n ln n − Σ c ln c over how often each name was seen in a span."""
    counts = names.counts(after, upto)
    return term(sum(counts)) - sum(map(term, counts))


def decayed(times: array[int], sums: array[int], low: int, high: int, now: int, resolution: int) -> float:
    """The sum of a span, each step of time weighted by its age at `now`, in steps."""
    value, oldest = 0.0, len(DECAY) - 1
    while low < high:
        step = times[low] // resolution
        start = sums[low]
        while low < high and times[low] // resolution == step:
            low += 1
        value += (sums[low] - start) * DECAY[min(max(now - step, 0), oldest)]
    return value


def _decayed(layout: Layout, column: str | None, window: Window) -> Code:
    place = layout.place("total" if column else "one", column)
    now = f"(time - {window.delay}) // {window.resolution}"
    return f"decayed(times, {place}.sums, low, high, {now}, {window.resolution})"


def _names(code: Code) -> Callable[[Layout, str | None, Window], Code]:
    return lambda layout, column, window: code.format(names=layout.place("names", column), own=repr(column))


def _extreme(part: Literal["min", "max"], helper: Code) -> Callable[[Layout, str | None, Window], Code]:
    return lambda layout, column, window: f"{helper}({layout.place(part, column)}, low, high, after)"


READERS: Final[dict[Kind, Callable[[Layout, str | None, Window], Code]]] = {
    "count": _count,
    "present": _present,
    "total": _total,
    "scatter": _scatter,
    "min": _extreme("min", "smallest"),
    "max": _extreme("max", "largest"),
    "distinct": _names("{names}.distinct(after, upto)"),
    "own": _names("own({names}, values.get({own}), after, upto)"),
    "entropy": _names("entropy({names}, after, upto)"),
    "top": _names("max({names}.counts(after, upto), default=0)"),
    "decayed": _decayed,
    "time": lambda *_: "time",
    "first": lambda *_: "times[low] if low < high else NONE",
    "last": lambda *_: "times[high - 1] if low < high else NONE",
}

HELPERS: Final[dict[str, object]] = {
    "NONE": NONE,
    "NOTHING": NOTHING,
    "decayed": decayed,
    "entropy": entropy,
    "largest": largest,
    "own": own,
    "scatter": scatter,
    "smallest": smallest,
    "units": units,
}
