"""One function for all aggregates of a payment, written for a plan: it reads every window and adds the payment.

It is Python made from the expressions of `measures`: a call per measure would cost half as much again. What a user
named enters it as a literal, never as code. `OnlineEngine.source` shows it, and so do tracebacks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.columns import FEW
from shroff.features.engines.online.measures import HELPERS, Code, nothing, value_of, values_in
from shroff.features.engines.online.track import Track
from shroff.features.plan import Measure, Output, Plan, Slot
from shroff.features.window import FOREVER, Window
from shroff.generated import define, function

Observe = Callable[[Payment, int], dict[str, Value]]
"""The aggregates of a payment by name, given the watermark; later payments see it."""

Cells = dict[tuple[Slot, Measure], Code]
"""The variable that holds what was read."""


def observe_source(plan: Plan, tracks: Sequence[Track]) -> Code:
    """The source of the function of a plan over these timelines."""
    entities = dict.fromkeys(track.columns for track in tracks)
    lines = [line for columns in entities for line in _entity(columns, plan, tracks)]
    start = ["values, time = payment.values, payment.time", *values_in("\n".join(lines), plan.schema)]
    features = ", ".join(f"{output.name!r}: f{place}" for place, output in enumerate(plan.outputs))
    return function("observe(payment, watermark)", [*start, *lines, f"return {{{features}}}"])


def compile_observe(source: Code, plan: Plan, tracks: Sequence[Track]) -> Observe:
    """The function of that source over these timelines."""
    names = HELPERS | {"bisect_right": bisect_right, "FOREVER": FOREVER}
    for place, track in enumerate(tracks):
        names |= {f"get{place}": track.timelines.get, f"touch{place}": track.timelines.move_to_end}
        names |= {
            f"unseen{place}": track.unseen,
            f"begin{place}": track.begin,
            f"extend{place}": track.extend,
            f"where{place}": track.where,
        }
    names |= {f"formula{place}": output.recipe.formula for place, output in enumerate(plan.outputs)}
    return define(source, names)


def _entity(columns: Sequence[str], plan: Plan, tracks: Sequence[Track]) -> Iterator[Code]:
    """The lines for all timelines of an entity's key, and for the features that follow from them."""
    keys = [value_of(column, plan.schema) for column in columns]
    yield f"if {' and '.join(f'{key} is not None' for key in keys)}:"
    yield f" key = {keys[0]}" if len(keys) == 1 else f" key = ({', '.join(keys)})"
    cells: Cells = {}
    for place, track in enumerate(tracks):
        if track.columns == columns:
            cells |= {read: f"m{place}_{at}" for at, read in enumerate(track.layout.reads)}
            yield f" # timelines {place}: of payments{''.join(f' and their {event}s' for event in track.later)}"
            yield from _timeline(place, track, cells)
    outputs = [place for place, output in enumerate(plan.outputs) if output.inputs[0].stream.columns == columns]
    yield from (f" f{place} = {_feature(place, plan.outputs[place], cells)}" for place in outputs)
    yield f"else: {' = '.join(f'f{place}' for place in outputs)} = None"


def _feature(place: int, output: Output, cells: Cells) -> Code:
    measures = [cells[item.slot, item.measure] for item in output.inputs]
    value = f"formula{place}({', '.join([*measures, *map(repr, output.constants)])})"
    # no value where the formula gives NaN, the one number that differs from itself
    return f"None if (value := {value}) != value else value"


def _timeline(place: int, track: Track, cells: Cells) -> Iterator[Code]:
    """The lines that read the windows over a timeline, and add the payment to it."""
    slots = dict.fromkeys(slot for slot, _ in track.layout.reads)
    before = [slot for slot in slots if not slot.window.include_current]
    yield from _windows(place, track, cells, before)
    if not track.later:
        yield f" if where{place}(values) is True:" if track.where else " if True:"
        yield from _extension(place, track) if before else [f"  {_extend(place, track)}"]
    yield from _windows(place, track, cells, [slot for slot in slots if slot.window.include_current])


def _extend(place: int, track: Track) -> Code:
    return f"extend{place}(key, {track.layout.event}, watermark)"


def _extension(place: int, track: Track) -> Iterator[Code]:
    """The lines that add the payment: at once where it is the first or the latest of a timeline that was just read."""
    layout = track.layout
    yield f"  at, limit = {layout.time}, watermark - {track.horizon}"
    latest = f"last {'<' if layout.grain else '<='} at and (size < {FEW} or limit < line.kept)"
    yield f"  if {latest} if size else at > limit:"
    yield f"   if size: touch{place}(key)"
    yield "   else:"
    yield f"    line = begin{place}(key, limit)"
    yield from (f"   {code}" for code in _parts(track))
    yield "   times.append(at)"
    for column, (part, cell) in enumerate(zip(layout.parts, layout.cells, strict=True)):
        if part in ("min", "max", "names"):
            yield f"   c{column}.push(at, {cell})"
        else:
            # what `Running.push` does, which a call would cost twice
            yield f"   try: (sums := c{column}.sums).append(sums[-1] + {cell})"
            yield f"   except OverflowError: c{column}.push(at, {cell})"
    if layout.grain:
        yield "  elif size and last == at:"
        yield from (f"   c{column}.join(size - 1, at, {cell})" for column, cell in enumerate(layout.cells))
        yield f"   touch{place}(key)"
    yield f"  else: {_extend(place, track)}"


def _windows(place: int, track: Track, cells: Cells, slots: Sequence[Slot]) -> Iterator[Code]:
    """The lines that read these windows: by their delay, the shortest first."""
    if not slots:
        return
    yield f" line = get{place}(key, unseen{place})"
    yield from _parts(track)
    yield " size = len(times)"
    yield " if size:"
    yield "  last = times[-1]"
    schema, before, every = track.layout.schema, None, list[Code]()
    for slot in sorted(slots, key=lambda slot: (slot.window.delay, slot.window)):
        empty = [f"{cells[slot, measure]} = {nothing(measure, schema)}" for measure in slot.measures]
        yield from _bounds(slot.window, before)
        yield "  if low < high:"
        yield from (f"   {cells[slot, measure]} = {track.layout.reads[slot, measure]}" for measure in slot.measures)
        yield f"  else: {'; '.join(empty)}"
        every += empty
        before = slot.window
    yield f" else: {'; '.join(every)}"


def _parts(track: Track) -> Iterator[Code]:
    """The lines that give the times and columns of a timeline names."""
    yield " times = line.times"
    if track.layout.parts:
        yield f" {''.join(f'c{column}, ' for column in range(len(track.layout.parts)))} = line.columns"


def _bounds(window: Window, before: Window | None) -> Iterator[Code]:
    """The lines that find where a window begins and ends, in time and among the events, after the one `before` it."""
    duration, delay, resolution, _ = window
    within = "high"
    if before is None or (delay, resolution * bool(delay)) != (before.delay, before.resolution * bool(delay)):
        yield f"  upto = {_bound(delay, resolution) if delay else 'FOREVER'}"
        yield f"  high = {'size if last <= upto else bisect_right(times, upto)' if delay else 'size'}"
    elif duration - resolution >= before.window:
        # of two windows that end together the longer begins no later
        within = "low"
    yield f"  after = {_bound(duration + delay, resolution)}"
    # most keys have been idle for longer than a short window
    yield f"  low = size if last <= after else bisect_right(times, after, 0, {within})"


def _bound(age: int, resolution: int) -> Code:
    """`shroff.features.window.upto` of the payment's time, as code."""
    return f"(time - {age}) // {resolution} * {resolution} + {resolution - 1}" if resolution else f"time - {age}"
