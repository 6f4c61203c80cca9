"""The columns of timelines, and what a payment adds to each, as Python expressions.

An expression knows these names:

    payment, time   the payment that is judged, or added
    amount, name    its amount in ten-thousandths, and its id
    v0, v1 …        its values in the schema's columns
    w0_0, w0_1 …    the components of its vectors
    times, c0 …     the timeline's event times, and its columns

and those in `runtime.GLOBALS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal

from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.features.aggregates import NAME_SCALES, Kind
from shroff.features.engines.embedding import vector_reader
from shroff.features.engines.online.amounts import AmountKind
from shroff.features.engines.online.columns import Cell
from shroff.features.engines.online.runtime import GLOBALS
from shroff.features.engines.online.timeline import Timeline, timeline_class
from shroff.features.plan import Plan
from shroff.features.streams import Stream
from shroff.generated import define, function

Code = str
"""A Python expression."""

ColumnKind = Literal["one", "total", "present", "square", "min", "max", "amounts", "names", "said"]
"""The kind of a timeline's column: running sums, minima, amounts, names, or values of events."""

_FIELDS: Final = {"amount": "units", "name": "id"}
_NAMES: Final = re.compile(r"\b(?:v\d+|w\d+_\d+|amount|name)\b")
_VALUES: Final = re.compile(r"\bv(\d+)\b")
_VECTORS: Final = re.compile(r"\bw(\d+)_\d+\b")
_SINGLE: Final = frozenset[Kind]({"first", "last", "min", "max", "latest", "earliest", "quantile"})
"""Measures that need unmerged events."""


def grain_of(streams: Sequence[Stream]) -> int:
    """The step of time, in microseconds, whose events these streams' timelines merge; 0: none."""
    single = any(measure.kind in _SINGLE for stream in streams for measure in stream.measures)
    return 0 if single else min(stream.resolution for stream in streams)


class Layout:
    """Which columns the timelines of some streams have: those that `readers` asked it for.

    Attributes:
        grain: events of one such step of time are merged, microseconds; 0 merges none.
        kinds: the kind of each column.
        cells: what a payment adds to each column.
    """

    def __init__(self, streams: Sequence[Stream], plan: Plan) -> None:
        self.grain = grain_of(streams)
        self.kinds: list[ColumnKind] = []
        self.cells: list[Code] = []
        self.plan, self.schema = plan, plan.schema
        self._places: dict[tuple[ColumnKind, str | None], int] = {}
        self._said: list[str] = []
        self._amounts: list[AmountKind] = []
        # events that may leave again are found by the payment's id
        self._identity = ["name"] if any(stream.revised for stream in streams) else []

    @property
    def time(self) -> Code:
        """The time at which an event is kept."""
        return f"time // {self.grain} * {self.grain}" if self.grain else "time"

    @property
    def event(self) -> Code:
        """The time of an event, and what it adds to the columns."""
        return f"{self.time}, ({''.join(cell + ', ' for cell in self.cells)})"

    def place(self, kind: ColumnKind, column: str | None) -> Code:
        """The variable of a column, which timelines have from now on."""
        if (kind, column) not in self._places:
            self._places[kind, column] = len(self.kinds)
            self.kinds.append(kind)
            self.cells.append(_cell(kind, column, self.plan))
        return f"c{self._places[kind, column]}"

    def place_of(self, kind: ColumnKind, column: str | None) -> int:
        """The place of a column that timelines have."""
        return self._places[kind, column]

    def columns_of(self, kind: ColumnKind) -> list[str]:
        """The columns of a payment that timelines have in that kind."""
        return [str(column) for known, column in self._places if known == kind]

    def amounts(self, kind: AmountKind) -> Code:
        """The column of each event's amount, of which this is read from now on."""
        if kind not in self._amounts:
            self._amounts.append(kind)
        return self.place("amounts", self.schema.amount)

    def said(self, column: str) -> Code:
        """The values of all events in a column, by place; timelines keep them from now on."""
        place = self.place("said", None)
        if column not in self._said:
            self._said.append(column)
            cells = [_said(name, self.schema) for name in self._said] + self._identity
            self.cells[self._places["said", None]] = f"({''.join(cell + ', ' for cell in cells)})"
        return f"{place}.columns[{self._said.index(column)}]"

    @property
    def _sayings(self) -> Code:
        """The column of events' values, without events."""
        kinds = [
            "[]" if self.schema.scales[name] in NAME_SCALES else "array('q')" for name in self._said
        ]
        columns = "".join(kind + ", " for kind in [*kinds, *["[]"] * len(self._identity)])
        return f"EventValues(({columns}))"

    @property
    def timeline(self) -> list[Code]:
        """The statements that return a timeline without events."""
        made = {
            "names": "NameTimes(joins=True)" if self.grain else "CodedNames()",
            "min": "Minima()",
            "max": "Minima()",
            "amounts": f"Amounts({tuple(self._amounts)})",
            "said": self._sayings,
        }
        parts = ["array('q')", *(made.get(kind, "RunningSums()") for kind in self.kinds)]
        return [f"return Timeline({', '.join(parts)})"]


def value_of(column: str, schema: Schema) -> Code:
    """A payment's value in a column."""
    return f"v{list(schema.scales).index(column)}"


def vector_of(name: str, plan: Plan) -> list[Code]:
    """The components of a payment's vector."""
    place = list(plan.vectors).index(name)
    return [f"w{place}_{at}" for at in range(plan.vectors[name].dimensions)]


def values_in(code: Code, plan: Plan) -> Iterator[Code]:
    """The statements that `code` needs before it; `values` and `time` are those of a payment."""
    yield from vectors_in(code, plan, units="payment.units")
    for name, field in _FIELDS.items():
        if re.search(rf"\b{name}\b", code):
            yield f"{name} = payment.{field}"
    columns = list(plan.schema.scales)
    for number in sorted({int(found) for found in _VALUES.findall(code)}):
        yield f"v{number} = values.get({columns[number]!r})"


def vectors_in(code: Code, plan: Plan, *, units: Code) -> Iterator[Code]:
    """Those of `values_in` for vectors, given what says a payment's units."""
    for place, name in enumerate(plan.vectors):
        if str(place) in _VECTORS.findall(code):
            yield f"{', '.join(vector_of(name, plan))} = vector{place}({units}, time, values)"


def compile_timeline(layout: Layout) -> Callable[[], Timeline]:
    """The function that gives a timeline without events."""
    names = GLOBALS | {"Timeline": timeline_class(len(layout.kinds))}
    return define(function("timeline()", layout.timeline), names)


def compile_event(
    layout: Layout,
) -> Callable[[Payment, Mapping[str, Value], int], tuple[int, Sequence[Cell]]]:
    """The function that makes an event: its time, and what it adds to the columns."""
    lines = [*values_in(layout.event, layout.plan), f"return {layout.event}"]
    return define(
        function("event(payment, values, time)", lines), GLOBALS | vector_readers(layout.plan)
    )


def compile_cells(layout: Layout) -> tuple[Callable[..., list[Sequence[Cell]]], list[Code]]:
    """The function that makes the cells of many events, by column, and the names of its arguments:
    how many events there are, and of each name that cells read the values of all.
    """
    read = [sorted({*_NAMES.findall(cell)}) for cell in layout.cells]
    columns = [
        f"[{cell} for {''.join(f'{name}, ' for name in names)} in zip({', '.join(names)})]"
        if names
        else f"[{cell}] * count"
        for cell, names in zip(layout.cells, read, strict=True)
    ]
    arguments = sorted({name for names in read for name in names})
    source = function(
        f"cells({', '.join(['count', *arguments])})", [f"return [{', '.join(columns)}]"]
    )
    return define(source, dict(GLOBALS)), arguments


def vector_readers(plan: Plan) -> dict[str, object]:
    """The functions that give a payment's vectors, by their names in generated code."""
    return {
        f"vector{place}": vector_reader(one, plan.schema)
        for place, one in enumerate(plan.vectors.values())
    }


def _cell(kind: ColumnKind, column: str | None, plan: Plan) -> Code:
    schema = plan.schema
    if column is None:
        return "1"
    for table in plan.vectors.values():
        if column in table.components:
            return vector_of(table.name, plan)[table.components.index(column)]
    value = value_of(column, schema)
    if kind == "names":
        said = _said(column, schema)
        return (
            f"(None if {value} is None else units({value}))"
            if schema.scales[column] == "numeric"
            else said
        )
    if kind == "present" and schema.scales[column] not in ("amount", "numeric"):
        return f"int({value} is not None)"
    number = {
        "total": "{0}",
        "present": "1",
        "square": "{0} * {0}",
        "min": "{0}",
        "max": "-{0}",
        "amounts": "{0}",
    }[kind]
    if column == schema.amount:
        return number.format("amount")
    nothing = "NO_MINIMUM" if kind in ("min", "max") else "0"
    return f"({nothing} if {value} is None else {number.format(f'units({value})')})"


def _said(column: str, schema: Schema) -> Code:
    """An event's value in a column: ten-thousandths, or a name."""
    value = value_of(column, schema)
    if column == schema.amount:
        return "amount"
    return (
        value
        if schema.scales[column] in NAME_SCALES
        else f"(MISSING if {value} is None else units({value}))"
    )
