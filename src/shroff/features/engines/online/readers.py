"""How measures are read from a timeline, as Python expressions.

`codegen` makes one function of them for all features of a payment: a call for each measure would
cost several times what the measure does. An expression knows the names that `layout` lists, and
those of a window that has events:

    low, high       the places of the window's events: low … high - 1
    after, upto     their times: later than `after` and not later than `upto`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from shroff.collect import Schema
from shroff.features.aggregates import NAME_SCALES, Kind
from shroff.features.engines.online.layout import Code, Layout, value_of, vector_of
from shroff.features.streams import Measure, Slot, Stream
from shroff.features.window import Window


def _count(layout: Layout, column: str | None, window: Window) -> Code:
    return _total(layout, None, window) if layout.grain else "high - low"


def _total(layout: Layout, column: str | None, window: Window) -> Code:
    if _by_event(layout, column):
        return f"{layout.amounts('total')}.total(low, high)"
    return _sum(layout.place("total" if column else "one", column))


def _present(layout: Layout, column: str | None, window: Window) -> Code:
    # every payment has an amount
    if column == layout.schema.amount:
        return _count(layout, None, window)
    if not layout.grain and layout.schema.scales.get(str(column)) in NAME_SCALES:
        return f"{layout.place('names', column)}.named(low, high, after, upto)"
    return _sum(layout.place("present", column))


def _by_event(layout: Layout, column: str | None) -> bool:
    """Whether a column is the amount, kept of each event."""
    return column == layout.schema.amount and not layout.grain


def _sum(place: Code) -> Code:
    return f"{place}.sums[high] - {place}.sums[low]"


def _scatter(layout: Layout, column: str | None, window: Window) -> Code:
    squares = (
        f"{layout.amounts('square')}.square(low, high)"
        if _by_event(layout, column)
        else _sum(layout.place("square", column))
    )
    return (
        f"scatter({squares}, {_total(layout, column, window)}, {_present(layout, column, window)})"
    )


def _decayed(layout: Layout, column: str | None, window: Window) -> Code:
    kept = column or layout.grain
    place = (
        layout.amounts("total")
        if _by_event(layout, column)
        else layout.place("total" if column else "one", column)
        if kept
        else None
    )
    sums = "None" if place is None else f"{place}.sums"
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


def _mode(layout: Layout, column: str | None, window: Window) -> Code:
    found = f"{layout.place('names', column)}.commonest(low, high, after, upto)"
    return (
        found
        if layout.schema.scales[str(column)] in NAME_SCALES
        else f"MISSING if (found := {found}) is None else found"
    )


def _extreme(
    kind: Literal["min", "max"], found: Code
) -> Callable[[Layout, str | None, Window], Code]:
    verb = {"min": "smallest", "max": "largest"}[kind]
    return lambda layout, column, window: (
        f"{layout.amounts(kind)}.{verb}(low, high, after)"
        if _by_event(layout, column)
        else f"MISSING if (found := {layout.place(kind, column)}.smallest(low, high, after)) "
        f"== NO_MINIMUM else {found}"
    )


def _placed(kind: Kind, n: int, items: Code) -> Code:
    """The item of the nth event in the window from its end, or from its beginning."""
    place = f"high - {n}" if kind in ("last", "latest") else f"low + {n - 1}" if n > 1 else "low"
    return f"{items}[{place}]"


def reads(layout: Layout, streams: Sequence[Stream]) -> dict[tuple[Slot, Measure], Code]:
    """How each measure of each window is read; the layout gets the columns that are needed."""
    return {
        (slot, measure): _read(layout, measure, slot.window)
        for stream in streams
        for slot in stream.slots.values()
        for measure in slot.measures
    }


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
    "own": _names("MISSING if {own} is None else {names}.own({own}, {span})"),
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
        and schema.scales[str(measure.column)] in NAME_SCALES
    ):
        return "None"
    if measure.kind in ("min", "max", "quantile", "mode", *_PLACED):
        return "MISSING"
    if measure.kind == "own":
        return f"MISSING if {value_of(str(measure.column), schema)} is None else 0"
    return {"time": "time", "away": "NAN"}.get(measure.kind, "0")
