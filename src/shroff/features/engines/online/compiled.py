"""What compiled code does for the code that is generated for a plan, see `shroff.speedups`: it
reads all windows over a timeline of which plain measures are asked, in one call, and appends an
event to a timeline in another.

`readers` says how Python reads the same; both read the same columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from shroff import speedups
from shroff.features.aggregates import MISSING, NAME_SCALES
from shroff.features.engines.online.amounts import MAX_SCANNED_AMOUNTS
from shroff.features.engines.online.coded_names import MAX_CODED_EVENTS, alike
from shroff.features.engines.online.layout import Code, Layout, value_of
from shroff.features.engines.online.shared_names import NAMES
from shroff.features.engines.online.stream_timelines import StreamTimelines
from shroff.features.streams import Measure, Slot

_OF_AMOUNTS: Final = {"total": "total", "min": "smallest", "max": "largest"}
_OF_TIMES: Final = {"first": "from start", "last": "from end"}


class _Read(NamedTuple):
    """Something that compiled code reads, see `_speedups.Windows`."""

    op: str
    column: int = -1
    nth: int = 1
    nothing: int = 0


class _Plain(NamedTuple):
    """A measure of what compiled code reads: an expression of that, `{0}`, `{1}` …"""

    reads: tuple[_Read, ...]
    code: Code = "{0}"


def split(timelines: StreamTimelines, slots: Sequence[Slot]) -> tuple[list[Slot], list[Slot]]:
    """The windows that compiled code reads, and the others."""
    plain: list[Slot] = []
    others: list[Slot] = []
    for slot in slots:
        known = speedups.compiled is not None and all(
            _plain(timelines.layout, measure) for measure in slot.measures
        )
        (plain if known else others).append(slot)
    return plain, others


def code(
    function: str, timelines: StreamTimelines, slots: Sequence[Slot], cells: dict[Any, Code]
) -> Iterator[Code]:
    """The lines that let a `reader` of that name read windows, into the variables of measures."""
    layout, names, derived = timelines.layout, list[Code](), list[Code]()
    for slot, measure, plain in _all_plain(timelines, slots):
        variable = cells[slot, measure]
        read = [f"{variable}_{at}" for at in range(len(plain.reads))]
        if plain.code == "{0}":
            read = [variable]
        else:
            derived.append(f" {variable} = {plain.code.format(*read)}")
        names += read
    columns = [f"c{column}" for column in range(len(layout.kinds))]
    if any(measure.kind == "own" for _, measure in timelines.reads):
        columns += [value_of(column, layout.schema) for column in layout.columns_of("names")]
    if names:
        given = "".join(f"{column}, " for column in columns)
        yield f" {', '.join(names)}, = {function}(times, ({given}), time)"
    yield from derived


def reader(timelines: StreamTimelines, slots: Sequence[Slot]) -> Callable[..., tuple[int, ...]]:
    """The compiled function that `code` calls."""
    assert speedups.compiled is not None
    places = {slot: place for place, slot in enumerate(slots)}
    reads = [
        (places[slot], *read)
        for slot, _, plain in _all_plain(timelines, slots)
        for read in plain.reads
    ]
    windows = [(one.window.window, one.window.delay, one.window.resolution) for one in slots]
    read: Callable[..., tuple[int, ...]] = speedups.compiled.Windows(windows, reads).read
    return read


def appended(layout: Layout) -> list[int]:
    """The places of the columns to which compiled code appends what an event adds to them."""
    if speedups.compiled is None or layout.grain:
        return []
    return [place for place, kind in enumerate(layout.kinds) if kind in ("amounts", "names")]


def appender(layout: Layout) -> Callable[..., None]:
    """The compiled function that appends an event: to times, and to the columns `appended` to."""
    assert speedups.compiled is not None
    kinds = tuple([layout.kinds[place] for place in appended(layout)])
    append: Callable[..., None] = speedups.compiled.Events(
        kinds, MAX_SCANNED_AMOUNTS, NAMES.once, alike(), MAX_CODED_EVENTS
    ).append
    return append


def _all_plain(
    timelines: StreamTimelines, slots: Sequence[Slot]
) -> Iterator[tuple[Slot, Measure, _Plain]]:
    """How compiled code reads each measure of slots that it reads, in the order of its answer."""
    for slot in slots:
        for measure in slot.measures:
            plain = _plain(timelines.layout, measure)
            assert plain is not None
            yield slot, measure, plain


def _plain(layout: Layout, measure: Measure) -> _Plain | None:
    """How compiled code reads a measure; None where it does not."""
    kind, column = measure.kind, measure.column
    of_amount = column == layout.schema.amount
    if kind == "time":
        return _Plain((), "time")
    if layout.grain:
        return None
    if kind == "count" or (kind == "present" and of_amount):
        return _Plain((_Read("count"),))
    if kind in _OF_TIMES and column is None:
        return _Plain((_Read(_OF_TIMES[kind], nth=measure.at, nothing=MISSING),))
    if of_amount and kind in (*_OF_AMOUNTS, "scatter"):
        place = layout.place_of("amounts", column)
        if kind == "scatter":
            reads = (_Read("square", place), _Read("total", place), _Read("count"))
            return _Plain(reads, "scatter({0}, {1}, {2})")
        nothing = 0 if kind == "total" else MISSING
        return _Plain((_Read(_OF_AMOUNTS[kind], place, nothing=nothing),))
    if kind == "distinct":
        return _Plain((_Read("distinct", layout.place_of("names", column)),))
    if layout.schema.scales.get(str(column)) not in NAME_SCALES:
        return None
    if kind == "present":
        return _Plain((_Read("named", layout.place_of("names", column)),))
    if kind == "own":
        place = layout.place_of("names", column)
        mine = len(layout.kinds) + layout.columns_of("names").index(str(column))
        own = value_of(str(column), layout.schema)
        return _Plain((_Read("own", place, nth=mine),), f"MISSING if {own} is None else {{0}}")
    return None
