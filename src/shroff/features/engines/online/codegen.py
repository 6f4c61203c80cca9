"""Generates functions per plan: one reads all windows of a payment, then adds the payment; another
only adds it; and one per entity adds what was kept of a payment under its key.

It inlines the expressions of `layout` and `readers`: calling a function per measure would cost half
as much again. Names that a user chose enter it as literals, never as code. `OnlineEngine.source`
shows it, and so do tracebacks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.columns import MAX_SCANNED_EVENTS
from shroff.features.engines.online.compiled import appended, appender, code, reader, split
from shroff.features.engines.online.layout import (
    Code,
    value_of,
    values_in,
    vector_readers,
    vectors_in,
)
from shroff.features.engines.online.readers import nothing
from shroff.features.engines.online.runtime import GLOBALS
from shroff.features.engines.online.stream_timelines import StreamTimelines
from shroff.features.plan import Plan
from shroff.features.streams import Measure, Output, Slot
from shroff.features.window import END_OF_TIME_US, Window
from shroff.generated import define, function

Observe = Callable[[Payment, int], dict[str, Value]]
"""The aggregates of a payment by name, given the watermark; later payments see the payment."""
Count = Callable[[Payment, int], None]
"""Lets later payments see the payment, given the watermark."""
Kept = Callable[[Any, Any, int], None]
"""Adds what was kept of a payment, given its key and the watermark."""

_MAX_NESTED: Final = 20
"""So deep are windows nested in code: Python takes a hundred levels of indentation."""

Moment = Literal["before", "with"]
"""When windows are read: before the payment is added to a timeline, or with it."""

Cells = dict[tuple[Slot, Measure], Code]
"""The variable that holds each measure read."""


def observe_source(plan: Plan, by_stream: Sequence[StreamTimelines]) -> Code:
    """The source of the function of a plan over these timelines."""
    entities = dict.fromkeys(timelines.columns for timelines in by_stream)
    lines = [line for columns in entities for line in _entity(columns, plan, by_stream)]
    start = ["values, time = payment.values, payment.time", *values_in("\n".join(lines), plan)]
    features = ", ".join(f"{output.name!r}: f{place}" for place, output in enumerate(plan.outputs))
    return function("observe(payment, watermark)", [*start, *lines, f"return {{{features}}}"])


def count_source(plan: Plan, by_stream: Sequence[StreamTimelines]) -> Code:
    """The source of the function that adds payments as `observe` does, and reads nothing."""
    lines = []
    for place, timelines in enumerate(by_stream):
        if not timelines.later:
            lines += [*_key(timelines.columns, plan), *_line(place, timelines)]
            lines += [" if size: last = times[-1]", *_added(place, timelines)]
    start = ["values, time = payment.values, payment.time", *values_in("\n".join(lines), plan)]
    return function("count(payment, watermark)", [*start, *lines])


def kept_source(
    columns: Sequence[str],
    kept: Sequence[str],
    reading: Sequence[Code],
    plan: Plan,
    by_stream: Sequence[StreamTimelines],
) -> Code:
    """The source of the function that adds what was kept of a payment to the timelines of its key,
    as `observe` adds the payment.

    Args:
        columns: those of the key.
        kept: the columns that were kept.
        reading: the lines that read these from `kept`, and `amount` and `time`.
    """
    lines = list[Code]()
    for place, timelines in enumerate(by_stream):
        if timelines.columns == columns and not timelines.later:
            lines += [*_line(place, timelines), " if size: last = times[-1]"]
            lines += _added(place, timelines)
    names = {name: value_of(name, plan.schema) for name in (*columns, *kept)}
    vectors = [*vectors_in("\n".join(lines), plan, units="amount")]
    start = [f"{', '.join(names[column] for column in columns)} = key", *reading]
    if vectors or "(values)" in "\n".join(lines):
        start += [f"values = {{{', '.join(f'{name!r}: {code}' for name, code in names.items())}}}"]
    start += vectors
    return function("add(key, kept, watermark)", [*start, "if True:", *(lines or [" pass"])])


def compile_observe(source: Code, plan: Plan, by_stream: Sequence[StreamTimelines]) -> Observe:
    """The function of that source over these timelines."""
    formulas = {
        f"formula{place}": output.recipe.formula for place, output in enumerate(plan.outputs)
    }
    return define(source, _names(plan, by_stream) | formulas)


def compile_kept(
    source: Code, plan: Plan, by_stream: Sequence[StreamTimelines], names: dict[str, Any]
) -> Kept:
    """The function of that source over these timelines, with other names that it reads."""
    return define(source, _names(plan, by_stream) | names)


def compile_count(source: Code, plan: Plan, by_stream: Sequence[StreamTimelines]) -> Count:
    """The function of that source over these timelines."""
    return define(source, _names(plan, by_stream))


def _names(plan: Plan, by_stream: Sequence[StreamTimelines]) -> dict[str, Any]:
    names: dict[str, Any] = (
        GLOBALS
        | vector_readers(plan)
        | {"bisect_right": bisect_right, "END_OF_TIME_US": END_OF_TIME_US}
    )
    for place, timelines in enumerate(by_stream):
        names |= {
            f"get{place}": timelines.by_key.get,
            f"touch{place}": timelines.by_key.move_to_end,
        }
        names |= {
            f"unseen{place}": timelines.unseen,
            f"begin{place}": timelines.begin,
            f"extend{place}": timelines.extend,
            f"where{place}": timelines.where,
        }
        if appended(timelines.layout):
            names[f"append{place}"] = appender(timelines.layout)
        for when, own in _by_moment(timelines).items():
            plain, _ = split(timelines, own)
            if plain:
                names[f"{when}{place}"] = reader(timelines, plain)
    return names


def _key(columns: Sequence[str], plan: Plan) -> Iterator[Code]:
    """The lines that begin the block of payments with this key."""
    keys = [value_of(column, plan.schema) for column in columns]
    yield f"if {' and '.join(f'{key} is not None' for key in keys)}:"
    yield f" key = {keys[0]}" if len(keys) == 1 else f" key = ({', '.join(keys)})"


def _entity(
    columns: Sequence[str], plan: Plan, by_stream: Sequence[StreamTimelines]
) -> Iterator[Code]:
    """The lines for all timelines of an entity's key, and for the features computed from them."""
    yield from _key(columns, plan)
    cells: Cells = {}
    for place, timelines in enumerate(by_stream):
        if timelines.columns == columns:
            cells |= {read: f"m{place}_{at}" for at, read in enumerate(timelines.reads)}
            yield (
                f" # timelines {place}: of "
                f"payments{''.join(f' and their {event}s' for event in timelines.later)}"
            )
            yield from _timeline(place, timelines, cells)
    outputs = [
        place
        for place, output in enumerate(plan.outputs)
        if output.inputs[0].stream.columns == columns
    ]
    yield from (f" f{place} = {_feature(place, plan.outputs[place], cells)}" for place in outputs)
    # links read of some entities what no feature of their own does
    if outputs:
        yield f"else: {' = '.join(f'f{place}' for place in outputs)} = None"


def _feature(place: int, output: Output, cells: Cells) -> Code:
    measures = [cells[item.slot, item.measure] for item in output.inputs]
    if output.text is not None:
        return measures[0]
    arguments = [*measures, *map(repr, output.constants)]
    if output.recipe.inline:
        return output.recipe.inline.format(*arguments)
    value = f"formula{place}({', '.join(arguments)})"
    # no value where the formula gives NaN, the one number that differs from itself
    return f"None if (value := {value}) != value else value"


def _timeline(place: int, timelines: StreamTimelines, cells: Cells) -> Iterator[Code]:
    """The lines that read the windows over a timeline, and add the payment to it."""
    slots = _by_moment(timelines)
    before, after = slots["before"], slots["with"]
    yield from _line(place, timelines)
    yield from _windows(place, timelines, cells, before)
    if not timelines.later:
        if not split(timelines, before)[1]:
            yield " if size: last = times[-1]"
        yield from _added(place, timelines)
        if after:
            # what a late payment extends may be another timeline than the one that was read
            yield f"   {_found(place)}"
            yield from (f"  {line}" for line in _columns(timelines))
            yield " size = len(times)"
    yield from _windows(place, timelines, cells, after)


def _by_moment(timelines: StreamTimelines) -> dict[Moment, list[Slot]]:
    """The windows over a timeline that are read before a payment is added, and those with it."""
    slots = dict.fromkeys(slot for slot, _ in timelines.reads)
    return {
        "before": [slot for slot in slots if not slot.window.include_current],
        "with": [slot for slot in slots if slot.window.include_current],
    }


def _added(place: int, timelines: StreamTimelines) -> Iterator[Code]:
    """The lines that add the payment to a timeline whose names are there."""
    yield f" if where{place}(values) is True:" if timelines.where else " if True:"
    yield from _extension(place, timelines)


def _extension(place: int, timelines: StreamTimelines) -> Iterator[Code]:
    """The lines that add the payment; inlined where it is the first or latest of its timeline."""
    layout = timelines.layout
    yield f"  at, limit = {layout.time}, watermark - {timelines.horizon}"
    whole = f"(size < {MAX_SCANNED_EVENTS} or limit < times[size // 2])"
    latest = f"last {'<' if layout.grain else '<='} at and {whole}"
    yield f"  if {latest} if size else at > limit:"
    yield f"   if size: touch{place}(key)"
    yield "   else:"
    yield f"    line = begin{place}(key, limit)"
    yield from (f"   {line}" for line in _columns(timelines))
    at_once = appended(layout)
    if at_once:
        columns = "".join(f"c{column}, " for column in at_once)
        cells = "".join(f"{layout.cells[column]}, " for column in at_once)
        yield f"   append{place}(times, ({columns}), ({cells}), at)"
    else:
        yield "   times.append(at)"
    for column, (kind, cell) in enumerate(zip(layout.kinds, layout.cells, strict=True)):
        if column in at_once:
            continue
        if kind in ("min", "max", "amounts", "names", "said"):
            yield f"   c{column}.push(times, {cell})"
        else:
            # `RunningSums.push`, inlined: the call would double its cost
            yield f"   try: (sums := c{column}.sums).append(sums[-1] + {cell})"
            yield f"   except OverflowError: c{column}.push(times, {cell})"
    if layout.grain:
        yield "  elif size and last == at:"
        yield from (
            f"   c{column}.join(times, size - 1, {cell})"
            for column, cell in enumerate(layout.cells)
        )
        yield f"   touch{place}(key)"
    yield "  else:"
    yield f"   extend{place}(key, {layout.event}, watermark)"


def _windows(
    place: int, timelines: StreamTimelines, cells: Cells, slots: Sequence[Slot]
) -> Iterator[Code]:
    """The lines that read these windows: those that end now, then the others by their delay."""
    if not slots:
        return
    plain, others = split(timelines, slots)
    if plain:
        when = "with" if plain[0].window.include_current else "before"
        yield from code(f"{when}{place}", timelines, plain, cells)
    if not others:
        return
    ordered = sorted(others, key=lambda slot: (slot.window.delay, slot.window))
    recent = [slot for slot in ordered if not slot.window.delay]
    yield " if size:"
    yield "  last = times[-1]"
    if recent:
        yield "  upto, high = END_OF_TIME_US, size"
        outermost, inner = _nested([slot.window for slot in recent])
        for at in outermost:
            yield from _recent(at, inner, recent, timelines, cells)
    before = None
    for slot in ordered[len(recent) :]:
        yield from _bounds(slot.window, before)
        yield "  if low < high:"
        yield from (f"   {line}" for line in _read(slot, timelines, cells))
        yield f"  else: {'; '.join(_empty([slot], timelines, cells))}"
        before = slot.window
    yield f" else: {'; '.join(_empty(ordered, timelines, cells))}"


def _nested(windows: Sequence[Window]) -> tuple[list[int], list[list[int]]]:
    """Which windows that end now, the shortest first, lie in no other one, and which in each."""
    outermost, inner = list[int](), [list[int]() for _ in windows]
    depths = [0] * len(windows)
    for at, window in reversed(list(enumerate(windows))):
        longer = range(at + 1, len(windows))
        around = (
            other
            for other in longer
            if windows[other].window - windows[other].resolution >= window.window
            and depths[other] < _MAX_NESTED
        )
        other = next(around, None)
        if other is None:
            outermost.append(at)
        else:
            depths[at] = depths[other] + 1
            inner[other].append(at)
    return outermost, inner


def _recent(
    at: int,
    inner: Sequence[Sequence[int]],
    slots: Sequence[Slot],
    timelines: StreamTimelines,
    cells: Cells,
) -> Iterator[Code]:
    """The lines that read a window that ends now, and those in it unless it has no events: most
    keys have been idle for longer than their short windows.
    """
    yield f"  after = {_bound(slots[at].window.window, slots[at].window.resolution)}"
    yield "  if last > after:"
    yield "   low = bisect_right(times, after)"
    yield from (f"   {line}" for line in _read(slots[at], timelines, cells))
    for other in inner[at]:
        yield from (f" {line}" for line in _recent(other, inner, slots, timelines, cells))
    within = [at]
    for other in within:
        within += inner[other]
    yield f"  else: {'; '.join(_empty([slots[at] for at in within], timelines, cells))}"


def _read(slot: Slot, timelines: StreamTimelines, cells: Cells) -> list[Code]:
    """The lines that read the measures of a window that has events."""
    return [
        f"{cells[slot, measure]} = {timelines.reads[slot, measure]}" for measure in slot.measures
    ]


def _empty(slots: Iterable[Slot], timelines: StreamTimelines, cells: Cells) -> list[Code]:
    """The statements for windows without events."""
    schema = timelines.layout.schema
    return [
        f"{cells[slot, measure]} = {nothing(measure, schema)}"
        for slot in slots
        for measure in slot.measures
    ]


def _line(place: int, timelines: StreamTimelines) -> Iterator[Code]:
    """The lines that name the timeline of a key, and what it has."""
    yield f" {_found(place)}"
    yield from _columns(timelines)
    yield " size = len(times)"


def _found(place: int) -> Code:
    """The statement that looks up the timeline of a key."""
    return f"line = get{place}(key, unseen{place})"


def _columns(timelines: StreamTimelines) -> Iterator[Code]:
    """The lines that name the times and columns of a timeline."""
    yield " times = line.times"
    if timelines.layout.kinds:
        columns = range(len(timelines.layout.kinds))
        yield f" {'; '.join(f'c{column} = line.c{column}' for column in columns)}"


def _bounds(window: Window, before: Window | None) -> Iterator[Code]:
    """The lines that find the bounds of a delayed window, in time and among events, after the one
    `before`.
    """
    duration, delay, resolution, _ = window
    within = "high"
    if before is None or (delay, resolution) != (before.delay, before.resolution):
        yield f"  upto = {_bound(delay, resolution)}"
        yield "  high = size if last <= upto else bisect_right(times, upto)"
    elif duration - resolution >= before.window:
        # of two windows with the same end, the longer begins no later: search only before the
        # shorter one's start
        within = "low"
    yield f"  after = {_bound(duration + delay, resolution)}"
    yield f"  low = size if last <= after else bisect_right(times, after, 0, {within})"


def _bound(age: int, resolution: int) -> Code:
    """`shroff.features.window.upto` of the payment's time, as code."""
    return (
        f"(time - {age}) // {resolution} * {resolution} + {resolution - 1}"
        if resolution
        else f"time - {age}"
    )
