"""One function for all aggregates of a payment, written for a plan: it reads every window and adds the payment.

It is Python made from the expressions of `measures`, in the way that `dataclasses` makes an `__init__`. What a user
named enters it as a literal, never as code.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.measures import HELPERS, Code
from shroff.features.engines.online.timeline import FEW
from shroff.features.engines.online.track import Track
from shroff.features.plan import Measure, Plan, Slot, Stream
from shroff.features.window import FOREVER, Window, after, upto

Observe = Callable[[Payment, int], dict[str, Value]]
"""The aggregates of a payment by name, given the watermark; later payments see it."""

Cells = dict[tuple[Slot, Measure], Code]
"""The variable that holds what was read."""


_PLACES: Final = re.compile(r"\b(low|high)\b")


def compile_observe(plan: Plan, tracks: Sequence[Track]) -> Observe:
    """The function of a plan over these timelines, one track for each stream."""
    names = HELPERS | {"bisect_right": bisect_right, "after_of": after, "upto_of": upto, "FOREVER": FOREVER}
    cells: Cells = {}
    lines = ["def observe(payment, watermark):", " values, time = payment.values, payment.time"]
    for place, (stream, track) in enumerate(zip(plan.streams, tracks, strict=True)):
        names |= {f"get{place}": track.timelines.get, f"unseen{place}": track.unseen}
        names |= {f"extend{place}": track.extend, f"where{place}": track.where}
        names[f"touch{place}"] = track.timelines.move_to_end
        own: Cells = {read: f"m{place}_{at}" for at, read in enumerate(track.reads)}
        lines += _stream(place, stream, track, own)
        cells |= own
    lines.append(" return {")
    for place, output in enumerate(plan.outputs):
        names[f"formula{place}"] = output.recipe.formula
        measures = [cells[item.slot, item.measure] for item in output.inputs]
        value = f"formula{place}({', '.join([*measures, *map(repr, output.constants)])})"
        # no value without a key, nor where the formula gives NaN, the one number that differs from itself
        lines.append(f"  {output.name!r}: None if {measures[0]} is None or (v := {value}) != v else v,")
    lines.append(" }")
    exec("\n".join(lines), names)
    observe: Observe = names["observe"]  # type: ignore[assignment]  # it was just defined
    return observe


def _stream(place: int, stream: Stream, track: Track, cells: Cells) -> Iterator[str]:
    """The lines that read the windows of one stream, and add the payment to it."""
    parts = [f"values.get({column!r})" for column in stream.columns]
    if len(parts) == 1:
        yield f" key = {parts[0]}"
        yield " if key is not None:"
    else:
        yield f" key = ({', '.join(parts)})"
        yield " if None not in key:"
    slots = stream.slots.values()
    yield from _windows(place, track, cells, [slot for slot in slots if not slot.window.include_current])
    if not stream.later:
        yield f"  if where{place}(values) is True:" if stream.where else "  if True:"
        yield from _extension(place, track, read=any(not slot.window.include_current for slot in slots))
    yield from _windows(place, track, cells, [slot for slot in slots if slot.window.include_current])
    yield f" else: {' = '.join(cells.values())} = None"


def _extension(place: int, track: Track, *, read: bool) -> Iterator[str]:
    """The lines that add the payment: at once where it is the latest of a timeline that was just read."""
    extend = f"extend{place}(key, {track.layout.event}, watermark)"
    if not read:
        yield f"   {extend}"
        return
    yield f"   at = {track.layout.time}"
    yield f"   if size and times[-1] < at and (size < {FEW} or times[0] > watermark - {track.horizon}):"
    yield "    times.append(at)"
    for column, cell in enumerate(track.layout.cells):
        yield f"    c{column}.push(at, {cell})"
    yield f"    touch{place}(key)"
    yield f"   else: {extend}"


def _windows(place: int, track: Track, cells: Cells, slots: Sequence[Slot]) -> Iterator[str]:
    if not slots:
        return
    yield f"  line = get{place}(key, unseen{place})"
    yield "  times, size = line.times, len(line.times)"
    yield f"  ({''.join(f'c{column}, ' for column in range(len(track.unseen.columns)))}) = line.columns"
    for slot in slots:
        reads = [f"  {cells[slot, measure]} = {track.reads[slot, measure]}" for measure in slot.measures]
        yield from _bounds(slot.window, by_place=any(_PLACES.search(read) for read in reads))
        yield from reads


def _bounds(window: Window, *, by_place: bool) -> Iterable[str]:
    """The lines that find where a window begins and ends: in time, and if need be among the events."""
    duration, delay, resolution, _ = window
    oldest = f"after_of(time, {duration}, {delay}, {resolution})" if resolution else f"time - {duration + delay}"
    newest = f"upto_of(time, {delay}, {resolution})" if delay else "FOREVER"
    yield f"  after, upto = {oldest}, {newest}"
    if by_place:
        yield f"  low, high = bisect_right(times, after), {'bisect_right(times, upto)' if delay else 'size'}"
