"""The compiled ground: values become codes, rows are grouped by key, and the window is walked over them.

`trace` is the one place that knows the window law over a table. It walks the payments of each key in order of
arrival and writes down which events enter the window before each payment and which leave it; what is kept over
the window is then a fold over those moves (`shroff.features.folds`), which knows nothing of time, keys or
lateness. An event is switched on when it arrives, wherever it lies in time, and the window's edges move both
ways; so late and out-of-order events are no special case. Where a key's events came in order, each enters and
leaves once: linear time. (A payment that is late by a day moves the edges back by a day and forth again.)
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shroff.features import window
from shroff.features.window import FOREVER, Window

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]
Flags = NDArray[np.bool_]

NO_PLACE: Final = np.uint32(2**32 - 1)

_after = njit(inline="always")(window.after)
_upto = njit(inline="always")(window.upto)


@njit(cache=True, nogil=True)
def factorise(keys: NDArray[np.uint64], valid: Flags) -> tuple[Int32, Int32]:
    """Codes of 64-bit keys by first appearance, -1 where not valid; and the row where each code first appears."""
    # a hash table of (key, code + 1), zero where it is free
    slots = np.zeros((1 << 10, 2), np.uint64)
    codes = np.empty(len(keys), np.int32)
    firsts = np.empty(len(slots) // 2, np.int32)
    known = 0
    for row in range(len(keys)):
        if not valid[row]:
            codes[row] = -1
            continue
        at = _slot(slots, keys[row])
        if slots[at, 1] == 0:
            if known == len(firsts):
                slots, firsts = _grown(slots), _with_room(firsts, 2 * len(firsts))
                at = _slot(slots, keys[row])
            firsts[known] = row
            known += 1
            slots[at, 0] = keys[row]
            slots[at, 1] = known
        codes[row] = np.int32(slots[at, 1]) - 1
    return codes, firsts[:known].copy()


@njit(inline="always")
def _slot(slots: NDArray[np.uint64], key: np.uint64) -> np.uint64:
    """Where a key is in a hash table, or would go."""
    mask = np.uint64(len(slots) - 1)
    # the multiplier is 2**64 over the golden ratio, so that consecutive keys spread
    at = ((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while slots[at, 1] != 0 and slots[at, 0] != key:
        at = (at + np.uint64(1)) & mask
    return at


@njit(cache=True, nogil=True)
def _grown(slots: NDArray[np.uint64]) -> NDArray[np.uint64]:
    larger = np.zeros((4 * len(slots), 2), np.uint64)
    for slot in range(len(slots)):
        if slots[slot, 1] != 0:
            larger[_slot(larger, slots[slot, 0])] = slots[slot]
    return larger


@njit(cache=True, nogil=True)
def group_rows(codes: Int32, keys: int) -> tuple[Int, Int32]:
    """Rows grouped by key, in row order within a key: a stable counting sort.

    Args:
        codes: key of each row, 0 … keys - 1; a negative code is no key and left out.

    Returns:
        starts [keys + 1] and rows: the rows of key `k` are `rows[starts[k]:starts[k + 1]]`.
    """
    starts = np.zeros(keys + 1, np.int64)
    for code in codes:
        if code >= 0:
            starts[code + 1] += 1
    for key in range(keys):
        starts[key + 1] += starts[key]
    rows = np.empty(starts[keys], np.int32)
    free = starts[:-1].copy()
    for row in range(len(codes)):
        code = codes[row]
        if code >= 0:
            rows[free[code]] = row
            free[code] += 1
    return starts, rows


@njit(cache=True, nogil=True)
def take(values: NDArray[Any], places: Int32) -> NDArray[Any]:
    """The values at these places."""
    taken = np.empty(len(places), values.dtype)
    for at in range(len(places)):
        taken[at] = values[np.uint32(places[at])]
    return taken


@njit(cache=True, nogil=True)
def inverse(rows: Int32, many: int) -> NDArray[np.uint32]:
    """The place of each row among `rows`, `NO_PLACE` for one that is not there."""
    places = np.full(many, NO_PLACE)
    for place in range(len(rows)):
        places[rows[place]] = place
    return places


class Queries(NamedTuple):
    """Payments by key, in order of arrival.

    `rows` are their places in the table, which is in order of arrival; `times` are microseconds.
    """

    starts: Int
    rows: Int32
    times: Int


class Events(NamedTuple):
    """Events by key, in order of (time, arrival).

    `places`: which of the queries each event is. `known`: the row of the last payment that does not see it.
    `arrivals`: by key, the positions in order of becoming known. `ordered`, by key: both payments and events came
    in order of time. `all`: every payment is an event, and known to the next one.
    """

    starts: Int
    places: Int32
    times: Int
    known: Int32
    arrivals: Int32
    ordered: Flags
    all: bool


@njit(cache=True, nogil=True)
def settle(queries: Queries, keep: Flags, known: Int32) -> Events:
    """The payments that are events, in order of time.

    Args:
        keep, known: by query, whether it is an event, and the row of the last payment that does not see it.
    """
    keys = len(queries.starts) - 1
    starts = np.zeros(keys + 1, np.int64)
    places = np.empty(len(queries.rows), np.int32)
    ordered = np.empty(keys, np.bool_)
    many = 0
    for key in range(keys):
        for query in range(queries.starts[key], queries.starts[key + 1]):
            if keep[query]:
                places[many] = query
                many += 1
        starts[key + 1] = many
        ordered[key] = _rising(queries.times[queries.starts[key] : queries.starts[key + 1]])
    places = places[:many].copy()
    times, ranks = take(queries.times, places), take(known, places)
    arrivals = np.arange(many).astype(np.int32)
    for key in range(keys):
        low, high = starts[key], starts[key + 1]
        if not ordered[key]:
            order = low + np.argsort(times[low:high], kind="mergesort")
            places[low:high], ranks[low:high] = places[order], ranks[order]
            times[low:high] = times[order]
        if not _rising(ranks[low:high]):
            ordered[key] = False
            arrivals[low:high] = low + np.argsort(ranks[low:high], kind="mergesort")
    everything = many == len(queries.rows) and bool((known == queries.rows).all())
    return Events(starts, places, times, ranks, arrivals, ordered, everything)


@njit(inline="always")
def _rising(values: NDArray[np.signedinteger[Any]]) -> bool:
    rising = True
    for at in range(1, len(values)):
        rising &= bool(values[at] >= values[at - 1])
    return rising


class Trace(NamedTuple):
    """How a window moves over its events.

    Before payment `q`, the moves `moves[ends[q - 1]:ends[q]]` happen: event `m` enters, or event `~m` leaves. The
    window is empty at first, and again between one key and the next. `held`: events in it at each payment;
    `spread`: they always lie within so many places.
    """

    moves: Int32
    ends: Int
    held: Int
    spread: int


@njit(cache=True, nogil=True)
def trace(queries: Queries, events: Events, bounds: Window) -> Trace:
    """Walk a window over the payments of some keys."""
    payments = len(queries.rows)
    oldest, newest = np.empty(payments, np.int64), np.empty(payments, np.int64)
    for query in range(payments):
        time = queries.times[query]
        oldest[query] = _after(time, bounds.window, bounds.delay, bounds.resolution)
        newest[query] = _upto(time, bounds.delay, bounds.resolution) if bounds.delay > 0 else FOREVER
    # in order, each event enters once and leaves once
    moves = np.empty(2 * len(events.places), np.int32)
    ends, held = np.empty(payments, np.int64), np.empty(payments, np.int64)
    # then a payment that has just entered does not leave at once
    strolls = events.all and bounds.delay == 0 and bounds.window >= bounds.resolution
    made = spread = 0
    for key in range(len(queries.starts) - 1):
        if not events.ordered[key]:
            moves, made = _wander(key, queries, events, bounds, oldest, newest, moves, made, ends, held)
            wide = events.starts[key + 1] - events.starts[key]
        elif strolls:
            made, wide = _stroll(key, queries, bounds, oldest, moves, made, ends, held)
        else:
            made, wide = _march(key, queries, events, bounds, oldest, newest, moves, made, ends, held)
        spread = max(spread, wide)
    return Trace(moves[:made], ends, held, spread)


@njit(cache=True, nogil=True)
def _stroll(
    key: int, queries: Queries, bounds: Window, oldest: Int, moves: Int32, made: int, ends: Int, held: Int
) -> tuple[int, int]:
    """A key whose payments came in order and are all events at once: a branch-free merge of what enters and leaves.

    Each step is one move: the oldest event leaves, or the walk goes on to the next payment, and one more enters.
    """
    begin, stop = queries.starts[key], queries.starts[key + 1]
    if begin == stop:
        return made, 0
    # places that cannot be negative cost the compiler no check
    low = query = np.uint64(begin)
    at, end, one, current = np.uint64(made), np.uint64(stop), np.uint64(1), np.uint64(bounds.include_current)
    wide = 0
    if bounds.include_current:
        moves[at] = begin
        at += one
    while query < end:
        leaves = queries.times[low] <= oldest[query]
        ends[query] = at
        held[query] = query + current - low
        moves[at] = ~np.int32(low) if leaves else np.int32(query + current)
        at += one
        low += np.uint64(leaves)
        query += one - np.uint64(leaves)
    made = int(at) - 1
    for event in range(int(low), stop - 1 + bounds.include_current):
        moves[made] = ~event
        made += 1
    for place in range(begin, stop):
        wide = max(wide, held[place] + 1)
    return made, wide


@njit(cache=True, nogil=True)
def _march(
    key: int,
    queries: Queries,
    events: Events,
    bounds: Window,
    oldest: Int,
    newest: Int,
    moves: Int32,
    made: int,
    ends: Int,
    held: Int,
) -> tuple[int, int]:
    """A key whose payments and events came in order: both edges of the window only move forward."""
    low = high = events.starts[key]
    last = events.starts[key + 1]
    wide = 0
    for query in range(queries.starts[key], queries.starts[key + 1]):
        rank = queries.rows[query] + bounds.include_current
        while high < last and events.known[high] < rank and events.times[high] <= newest[query]:
            moves[made] = high
            made += 1
            high += 1
        wide = max(wide, high - low)
        while low < high and events.times[low] <= oldest[query]:
            moves[made] = ~low
            made += 1
            low += 1
        ends[query] = made
        held[query] = high - low
    for at in range(low, high):
        moves[made] = ~at
        made += 1
    return made, wide


@njit(cache=True, nogil=True)
def _wander(
    key: int,
    queries: Queries,
    events: Events,
    bounds: Window,
    oldest: Int,
    newest: Int,
    moves: Int32,
    made: int,
    ends: Int,
    held: Int,
) -> tuple[Int32, int]:
    """Any key: events are switched on as they arrive, and the edges move to and fro."""
    first, last = events.starts[key], events.starts[key + 1]
    on = np.zeros(last - first, np.bool_)
    arrived = low = first
    high = first if bounds.delay > 0 else last
    inside = 0
    for query in range(queries.starts[key], queries.starts[key + 1]):
        rank = queries.rows[query] + bounds.include_current
        # before one payment an event can arrive, cross the upper edge and cross the lower edge
        moves = _with_room(moves, made + 3 * (last - first))
        start = made
        while arrived < last and events.known[events.arrivals[arrived]] < rank:
            at = events.arrivals[arrived]
            on[at - first] = True
            if low <= at < high:
                moves[made] = at
                made += 1
            arrived += 1
        while high < last and events.times[high] <= newest[query]:
            if on[high - first] and high >= low:
                moves[made] = high
                made += 1
            high += 1
        while high > first and events.times[high - 1] > newest[query]:
            high -= 1
            if on[high - first] and high >= low:
                moves[made] = ~high
                made += 1
        while low < last and events.times[low] <= oldest[query]:
            if on[low - first] and low < high:
                moves[made] = ~low
                made += 1
            low += 1
        while low > first and events.times[low - 1] > oldest[query]:
            low -= 1
            if on[low - first] and low < high:
                moves[made] = low
                made += 1
        for at in range(start, made):
            inside += 1 if moves[at] >= 0 else -1
        ends[query] = made
        held[query] = inside
    # at most twice as many moves are to come as there are events of other keys
    moves = _with_room(moves, made + 2 * len(events.places))
    for at in range(low, high):
        if on[at - first]:
            moves[made] = ~at
            made += 1
    return moves, made


@njit(cache=True, nogil=True)
def _with_room(moves: Int32, room: int) -> Int32:
    if room <= len(moves):
        return moves
    longer = np.empty(2 * room, np.int32)
    longer[: len(moves)] = moves
    return longer
