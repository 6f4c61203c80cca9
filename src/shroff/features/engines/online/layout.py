"""Measures of a timeline: which columns a stream needs, what a payment gives them, how each measure
is read.

Both are Python expressions, of which `reading` makes one function for all features of a payment: a
call for each measure would cost several times what the measure does. An expression knows these
names:

    payment, time   the payment that is judged, or added
    v0, v1 …        what it says in the schema's columns
    w0_0, w0_1 …    the components of its vectors
    times, c0 …     the timeline's event times, and its columns
    low, high       the places of the window's events: low … high - 1
    after, upto     their times: later than `after` and not later than `upto`

and those in `HELPERS`.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from shroff.collect import Payment, Schema, money
from shroff.collect.payment import Value
from shroff.features.aggregates import DECAY, LARGEST, NAMES, NONE, Kind, away, rank, scatter, term
from shroff.features.engines.embedding import vector_reader
from shroff.features.engines.online.columns import NOTHING, Cell, Records, Running
from shroff.features.engines.online.event_columns import Sayings
from shroff.features.engines.online.timeline import Timeline
from shroff.features.engines.online.value_columns import Names, Sightings
from shroff.features.plan import Measure, Plan, Slot, Stream
from shroff.features.window import Window
from shroff.generated import define, function

Code = str
"""A Python expression."""

Part = Literal["one", "total", "present", "square", "min", "max", "names", "said"]
"""What a column of a timeline is made of: running sums, falling records, names, what each event
says.
"""

_SINGLE: Final = frozenset[Kind]({"first", "last", "min", "max", "latest", "earliest", "quantile"})
"""Measures that need every event on its own."""


_MAX_SORTED_EVENTS: Final = 256
"""Up to so many numbers a quantile is found by sorting them."""

_VALUES: Final = re.compile(r"\bv(\d+)\b")
_VECTORS: Final = re.compile(r"\bw(\d+)_\d+\b")


def grain_of(streams: Sequence[Stream]) -> int:
    """The step of time, microseconds, whose events timelines of these streams keep as one; 0: each
    on its own.
    """
    single = any(measure.kind in _SINGLE for stream in streams for measure in stream.measures)
    return 0 if single else min(stream.resolution for stream in streams)


class Layout:
    """Which columns the timelines of some streams have, and how their measures are read from them.

    Attributes:
        grain: events of one such step of time are kept as one, microseconds; 0 keeps every event on
            its own.
        parts: what each column is made of.
        cells: what a payment gives each column.
        reads: how each measure of each window is read.
    """

    def __init__(self, streams: Sequence[Stream], plan: Plan) -> None:
        self.grain = grain_of(streams)
        self.parts: list[Part] = []
        self.cells: list[Code] = []
        self.plan, self.schema = plan, plan.schema
        self._places: dict[tuple[Part, str | None], int] = {}
        self._said: list[str] = []
        # what leaves again is known by the payment's id
        self._identity = ["payment.id"] if any(stream.revised for stream in streams) else []
        self.reads: dict[tuple[Slot, Measure], Code] = {
            (slot, measure): _read(self, measure, slot.window)
            for stream in streams
            for slot in stream.slots.values()
            for measure in slot.measures
        }

    @property
    def time(self) -> Code:
        """The time at which an event is kept."""
        return f"time // {self.grain} * {self.grain}" if self.grain else "time"

    @property
    def event(self) -> Code:
        """The time of an event, and what it gives the columns."""
        return f"{self.time}, ({''.join(cell + ', ' for cell in self.cells)})"

    def place(self, part: Part, column: str | None) -> Code:
        """A column by its name among those of a timeline, which has it from now on."""
        if (part, column) not in self._places:
            self._places[part, column] = len(self.parts)
            self.parts.append(part)
            self.cells.append(_cell(part, column, self.plan))
        return f"c{self._places[part, column]}"

    def said(self, column: str) -> Code:
        """What each event says in a column, by place; timelines have it from now on."""
        place = self.place("said", None)
        if column not in self._said:
            self._said.append(column)
            cells = [_said(name, self.schema) for name in self._said] + self._identity
            self.cells[self._places["said", None]] = f"({''.join(cell + ', ' for cell in cells)})"
        return f"{place}.columns[{self._said.index(column)}]"

    @property
    def _sayings(self) -> Code:
        """The column of what events say, without events."""
        kinds = ["[]" if self.schema.scales[name] in NAMES else "array('q')" for name in self._said]
        columns = "".join(kind + ", " for kind in [*kinds, *["[]"] * len(self._identity)])
        return f"Sayings(times, ({columns}))"

    @property
    def timeline(self) -> Code:
        """A timeline without events."""
        names = "Sightings(joins=True)" if self.grain else "Names(times)"
        kinds = {
            "names": names,
            "min": "Records(times)",
            "max": "Records(times)",
            "said": self._sayings,
        }
        return (
            "Timeline(times := array('q'), "
            f"({''.join(kinds.get(part, 'Running()') + ', ' for part in self.parts)}))"
        )


def value_of(column: str, schema: Schema) -> Code:
    """What a payment says in a column."""
    return f"v{list(schema.scales).index(column)}"


def vector_of(name: str, plan: Plan) -> list[Code]:
    """The components of a payment's vector."""
    place = list(plan.vectors).index(name)
    return [f"w{place}_{at}" for at in range(plan.vectors[name].dimensions)]


def values_in(code: Code, plan: Plan) -> Iterator[Code]:
    """The statements that must come before, where `values` and `time` are those of a payment."""
    for place, name in enumerate(plan.vectors):
        if str(place) in _VECTORS.findall(code):
            yield f"{', '.join(vector_of(name, plan))} = vector{place}(payment.units, time, values)"
    columns = list(plan.schema.scales)
    for number in sorted({int(found) for found in _VALUES.findall(code)}):
        yield f"v{number} = values.get({columns[number]!r})"


def compile_timeline(layout: Layout) -> Callable[[], Timeline]:
    """The function that gives a timeline without events."""
    return define(function("timeline()", [f"return {layout.timeline}"]), dict(HELPERS))


def compile_event(
    layout: Layout,
) -> Callable[[Payment, Mapping[str, Value], int], tuple[int, Sequence[Cell]]]:
    """The function that gives an event: its time, and what it gives the columns."""
    lines = [*values_in(layout.event, layout.plan), f"return {layout.event}"]
    return define(
        function("event(payment, values, time)", lines), HELPERS | vector_readers(layout.plan)
    )


def vector_readers(plan: Plan) -> dict[str, object]:
    """The functions that give a payment's vectors, by what code calls them."""
    return {
        f"vector{place}": vector_reader(one, plan.schema)
        for place, one in enumerate(plan.vectors.values())
    }


def _cell(part: Part, column: str | None, plan: Plan) -> Code:
    schema = plan.schema
    if column is None:
        return "1"
    for table in plan.vectors.values():
        if column in table.components:
            return vector_of(table.name, plan)[table.components.index(column)]
    value = value_of(column, schema)
    if part == "names":
        said = _said(column, schema)
        return (
            f"(None if {value} is None else units({value}))"
            if schema.scales[column] == "numeric"
            else said
        )
    if part == "present" and schema.scales[column] not in ("amount", "numeric"):
        return f"int({value} is not None)"
    number = {"total": "{0}", "present": "1", "square": "{0} * {0}", "min": "{0}", "max": "-{0}"}[
        part
    ]
    if column == schema.amount:
        return number.format("payment.units")
    nothing = "NOTHING" if part in ("min", "max") else "0"
    return f"({nothing} if {value} is None else {number.format(f'units({value})')})"


def _said(column: str, schema: Schema) -> Code:
    """What an event says in a column: ten-thousandths, or a name."""
    value = value_of(column, schema)
    if column == schema.amount:
        return "payment.units"
    return (
        value
        if schema.scales[column] in NAMES
        else f"(NONE if {value} is None else units({value}))"
    )


def units(value: Value) -> int:
    """A number in ten-thousandths."""
    return round(min(max(float(value or 0.0) * money.UNITS, -LARGEST), LARGEST))


def _count(layout: Layout, column: str | None, window: Window) -> Code:
    return _total(layout, None, window) if layout.grain else "high - low"


def _total(layout: Layout, column: str | None, window: Window) -> Code:
    return _sum(layout.place("total" if column else "one", column))


def _present(layout: Layout, column: str | None, window: Window) -> Code:
    # every payment has an amount
    if column == layout.schema.amount:
        return _count(layout, None, window)
    return _sum(layout.place("present", column))


def _sum(place: Code) -> Code:
    return f"{place}.sums[high] - {place}.sums[low]"


def _scatter(layout: Layout, column: str | None, window: Window) -> Code:
    squares = _sum(layout.place("square", column))
    return (
        f"scatter({squares}, {_total(layout, column, window)}, {_present(layout, column, window)})"
    )


def entropy(counts: Iterable[int]) -> int:
    """n ln n − Σ c ln c over how often each name was seen."""
    events = known = 0
    for count in counts:
        events += count
        if count > 1:
            known += term(count)
    return term(events) - known


def decayed(
    times: array[int], sums: Sequence[int] | None, low: int, high: int, now: int, resolution: int
) -> float:
    """The sum of a span (of ones, without sums), each step of time weighted by its age at `now`, in
    steps.
    """
    value, oldest = 0.0, len(DECAY) - 1
    while low < high:
        step = times[low] // resolution
        after, end = low + 1, (step + 1) * resolution
        if after < high and times[after] < end:
            after = bisect_left(times, end, after, high)
        number = after - low if sums is None else sums[after] - sums[low]
        value += number * DECAY[min(max(now - step, 0), oldest)]
        low = after
    return value


def _decayed(layout: Layout, column: str | None, window: Window) -> Code:
    kept = column or layout.grain
    sums = layout.place("total" if column else "one", column) + ".sums" if kept else "None"
    now = f"(time - {window.delay}) // {window.resolution}"
    return f"decayed(times, {sums}, low, high, {now}, {window.resolution})"


def _away(layout: Layout, column: str | None, window: Window) -> Code:
    table = layout.plan.vectors[str(column)]
    own = ", ".join(vector_of(table.name, layout.plan))
    totals = ", ".join(_total(layout, name, window) for name in table.components)
    return f"away(({own}), ({totals}))"


def _names(code: Code) -> Callable[[Layout, str | None, Window], Code]:
    return lambda layout, column, window: code.format(
        names=layout.place("names", column),
        own=value_of(str(column), layout.schema),
        span="low, high, after, upto",
    )


def quantile(numbers: array[int], low: int, high: int, share: int) -> int:
    """The number of a rank among those of a span, as they lie there; `NONE` when there are none."""
    if high - low <= _MAX_SORTED_EVENTS:
        # what is none is the smallest
        values: Sequence[int] = sorted(numbers[low:high])
        nothing = bisect_right(values, NONE)
        return (
            values[nothing + rank(share, len(values) - nothing) - 1]
            if nothing < len(values)
            else NONE
        )
    import numpy as np  # a long window only

    span = np.frombuffer(numbers, np.int64, high - low, 8 * low)
    nothing = int(np.count_nonzero(span == NONE))
    if nothing == len(span):
        return NONE
    place = nothing + rank(share, len(span) - nothing) - 1
    return int(np.partition(span, place)[place])


def _mode(layout: Layout, column: str | None, window: Window) -> Code:
    found = f"{layout.place('names', column)}.commonest(low, high, after, upto)"
    return (
        found
        if layout.schema.scales[str(column)] in NAMES
        else f"NONE if (found := {found}) is None else found"
    )


def _extreme(
    part: Literal["min", "max"], found: Code
) -> Callable[[Layout, str | None, Window], Code]:
    return lambda layout, column, window: (
        f"NONE if (found := {layout.place(part, column)}.smallest(low, high, after)) == NOTHING "
        f"else {found}"
    )


def _placed(kind: Kind, n: int, items: Code) -> Code:
    """The item of the nth event in the window from its end, or from its beginning."""
    place = f"high - {n}" if kind in ("last", "latest") else f"low + {n - 1}" if n > 1 else "low"
    return f"{items}[{place}]"


def _read(layout: Layout, measure: Measure, window: Window) -> Code:
    """How a measure is read where the window has events."""
    if measure.kind == "quantile":
        return f"quantile({layout.said(str(measure.column))}, low, high, {measure.at})"
    if measure.kind not in _PLACED:
        return READERS[measure.kind](layout, measure.column, window)
    items = "times" if measure.column is None else layout.said(measure.column)
    found = _placed(measure.kind, measure.at, items)
    return (
        found
        if measure.at == 1
        else f"{found} if high - low >= {measure.at} else {nothing(measure, layout.schema)}"
    )


_PLACED: Final = frozenset[Kind]({"first", "last", "latest", "earliest"})
"""Measures of one event, found by its place in the window."""

READERS: Final[dict[Kind, Callable[[Layout, str | None, Window], Code]]] = {
    "count": _count,
    "present": _present,
    "total": _total,
    "scatter": _scatter,
    "min": _extreme("min", "found"),
    "max": _extreme("max", "-found"),
    "distinct": _names("{names}.distinct({span})"),
    "own": _names("NONE if {own} is None else {names}.own({own}, {span})"),
    "entropy": _names("entropy({names}.counts({span}))"),
    "top": _names("max({names}.counts({span}), default=0)"),
    "mode": _mode,
    "decayed": _decayed,
    "away": _away,
    "time": lambda *_: "time",
}


def nothing(measure: Measure, schema: Schema) -> Code:
    """What a measure is over no events."""
    if (
        measure.kind in ("latest", "earliest", "mode")
        and schema.scales[str(measure.column)] in NAMES
    ):
        return "None"
    if measure.kind in ("min", "max", "quantile", "mode", *_PLACED):
        return "NONE"
    if measure.kind == "own":
        return f"NONE if {value_of(str(measure.column), schema)} is None else 0"
    return {"time": "time", "away": "NAN"}.get(measure.kind, "0")


HELPERS: Final[dict[str, object]] = {
    "Names": Names,
    "NAN": math.nan,
    "NONE": NONE,
    "NOTHING": NOTHING,
    "Records": Records,
    "Running": Running,
    "Sayings": Sayings,
    "Sightings": Sightings,
    "Timeline": Timeline,
    "array": array,
    "away": away,
    "decayed": decayed,
    "entropy": entropy,
    "quantile": quantile,
    "scatter": scatter,
    "units": units,
}
