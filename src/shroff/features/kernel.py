"""The compiled ground: values become codes, rows are grouped by key, and the window is walked over them.

`trace` is the one place that knows the window law over a table. It walks the payments of each key in order of
arrival and writes down which events enter the window before each payment and which leave it; what is kept over
the window is then a fold over those moves (`shroff.features.folds`), which knows nothing of time, keys or
lateness. An event is switched on when it arrives, wherever it lies in time, and the window's edges move both
ways; so late and out-of-order events are no special case. Where a key's events came in order, each enters and
leaves once: linear time. (A payment that is late by a day moves the edges back by a day and forth again.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shroff.features import window
from shroff.features.window import FOREVER, Window

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]
Flags = NDArray[np.bool_]


_after = njit(inline="always")(window.after)
_upto = njit(inline="always")(window.upto)


class Codes(NamedTuple):
    """Growing codes: a hash table of (key, code + 1), zero where it is free; and the row where each code came first."""

    slots: NDArray[np.uint64]
    firsts: Int32
    many: int


def no_codes() -> Codes:
    """A code of nothing yet."""
    return Codes(np.zeros((1 << 10, 2), np.uint64), np.empty(1 << 9, np.int32), 0)


@njit(cache=True, nogil=True)
def encode(keys: NDArray[np.uint64], valid: Flags, known: Codes, start: int, out: Int32) -> Codes:
    """Codes of 64-bit keys by first appearance, -1 where not valid, for the rows from `start` on."""
    slots, firsts, many = known.slots, known.firsts, known.many
    row = 0
    while True:
        row, many = _encode(keys, valid, row, slots, firsts, many, start, out)
        if row == len(keys):
            return Codes(slots, firsts, many)
        slots = _grown(slots)
        firsts = _with_room(firsts, len(slots) // 2)


@njit(cache=True, nogil=True)
def _encode(
    keys: NDArray[np.uint64],
    valid: Flags,
    row: int,
    slots: NDArray[np.uint64],
    firsts: Int32,
    many: int,
    start: int,
    out: Int32,
) -> tuple[int, int]:
    """Encode rows from this one on, until the table is half full; gives the next row and how many codes there are."""
    while row < len(keys):
        if valid[row]:
            at = _slot(slots, keys[row])
            if slots[at, 1] == 0:
                if many == len(firsts):
                    break
                firsts[many] = start + row
                many += 1
                slots[at, 0] = keys[row]
                slots[at, 1] = many
            out[row] = np.int32(slots[at, 1]) - 1
        else:
            out[row] = -1
        row += 1
    return row, many


def factorise(keys: NDArray[np.uint64], valid: Flags) -> tuple[Int32, int]:
    """Codes of 64-bit keys by first appearance, -1 where not valid, and how many there are."""
    codes = np.empty(len(keys), np.int32)
    return codes, encode(keys, valid, no_codes(), 0, codes).many


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
def group(codes: Int32, keys: int) -> tuple[Int, Int32, NDArray[np.uint32]]:
    """Rows grouped by key, in row order within a key: a stable counting sort.

    Args:
        codes: key of each row, 0 … keys - 1; a negative code is no key.

    Returns:
        starts [keys + 1] and rows: the rows of key `k` are `rows[starts[k]:starts[k + 1]]`; and the place of each row
        in `rows`, just behind them for a row without a key.
    """
    starts = np.zeros(keys + 1, np.int64)
    for code in codes:
        if code >= 0:
            starts[code + 1] += 1
    for key in range(keys):
        starts[key + 1] += starts[key]
    rows = np.empty(starts[keys], np.int32)
    places = np.empty(len(codes), np.uint32)
    free = starts.copy()
    for row in range(len(codes)):
        code = codes[row]
        if code >= 0:
            place = free[code]
            free[code] += 1
            rows[place] = row
            places[row] = place
        else:
            places[row] = len(rows)
    return starts, rows, places


@njit(cache=True, nogil=True)
def scatter(values: NDArray[Any], places: NDArray[np.uint32], out: Int) -> None:
    """Put each row's value in its place: reading in order is what makes it fast."""
    for row in range(len(places)):
        out[places[row]] = values[row]


@njit(cache=True, nogil=True)
def size(values: Int, none: int) -> float:
    """The sum of absolute values, about."""
    total = 0.0
    for value in values:
        if value != none:
            total += abs(float(value))
    return total


@njit(cache=True, nogil=True)
def take(values: Int, places: Int32) -> Int:
    """The values at these places."""
    taken = np.empty(len(places), np.int64)
    for at in range(len(places)):
        taken[at] = values[np.uint32(places[at])]
    return taken


class Queries(NamedTuple):
    """Payments by key, in order of arrival.

    `rows` are their places in the table, which is in order of arrival; `times` are microseconds; `first` is where the
    payments of the same key begin.
    """

    starts: Int
    rows: Int32
    times: Int
    first: NDArray[np.uint64]


class Events(NamedTuple):
    """Events by key, in order of (time, arrival).

    `places`: which of the queries each event is. `known`: the row of the last payment that does not see it.
    `arrivals`: by key, the positions in order of becoming known. `ordered`, by key: both payments and events came
    in order of time. `plain`: all did, every payment is an event, and known to the next one.
    """

    starts: Int
    places: Int32
    times: Int
    known: Int
    arrivals: Int32
    ordered: Flags
    plain: bool


@njit(cache=True, nogil=True)
def settle(queries: Queries, keep: Flags, known: Int) -> Events:
    """The payments that are events, in order of time.

    Args:
        keep, known: by query, whether it is an event, and the row of the last payment that does not see it.
    """
    keys = len(queries.starts) - 1
    ordered = np.empty(keys, np.bool_)
    for key in range(keys):
        ordered[key] = _rising(queries.times[queries.starts[key] : queries.starts[key + 1]])
    everything = np.arange(len(keep)).astype(np.int32)
    if ordered.all() and keep.all() and (known == queries.rows).all():
        return Events(queries.starts, everything, queries.times, known, everything, ordered, True)
    places = everything[keep]
    starts = np.searchsorted(places, queries.starts)
    times, ranks = take(queries.times, places), take(known, places)
    arrivals = everything[: len(places)].copy()
    for key in range(keys):
        low, high = starts[key], starts[key + 1]
        if not ordered[key]:
            order = low + np.argsort(times[low:high], kind="mergesort")
            places[low:high], ranks[low:high] = places[order], ranks[order]
            times[low:high] = times[order]
        if not _rising(ranks[low:high]):
            ordered[key] = False
            arrivals[low:high] = low + np.argsort(ranks[low:high], kind="mergesort")
    return Events(starts, places, times, ranks, arrivals, ordered, False)


@njit(inline="always")
def _rising(values: NDArray[np.signedinteger[Any]]) -> bool:
    rising = True
    for at in range(1, len(values)):
        rising &= bool(values[at] >= values[at - 1])
    return rising


class Trace(NamedTuple):
    """How a window moves over its events.

    Before payment `q`, the moves `moves[ends[q - 1]:ends[q]]` happen: event `m` enters, or event `~m` leaves. The
    window is empty at first, and the events of one key leave it before the first payment of the next. `held`: events in
    it at each payment; `spread`: they always lie within so many places.
    """

    moves: Int32
    ends: Int
    held: Int
    spread: int


class _Walk(NamedTuple):
    """A window's way over the payments: by payment, the times it must lie between, and what is found.

    `current`: 1 counts the payment itself.
    """

    queries: Queries
    events: Events
    current: int
    oldest: Int
    newest: Int
    ends: Int
    held: Int


@njit(cache=True, nogil=True)
def trace(queries: Queries, events: Events, bounds: Window) -> Trace:
    """Walk a window over the payments of some keys."""
    payments = len(queries.rows)
    oldest, newest = np.empty(payments, np.int64), np.empty(payments, np.int64)
    for query in range(payments):
        time = queries.times[query]
        oldest[query] = _after(time, bounds.window, bounds.delay, bounds.resolution)
        newest[query] = _upto(time, bounds.delay, bounds.resolution) if bounds.delay > 0 else FOREVER
    ends, held = np.empty(payments, np.int64), np.empty(payments, np.int64)
    walk = _Walk(queries, events, int(bounds.include_current), oldest, newest, ends, held)
    # in order, each event enters once and leaves once; one more for a move that is taken back
    moves = np.empty(2 * len(events.places) + 1, np.int32)
    # a payment does not leave as soon as it has entered
    if events.plain and bounds.delay == 0 and bounds.window >= bounds.resolution:
        made, spread = _stroll(walk, moves)
    # no payment enters before it arrived
    elif events.plain and bounds.delay > 0 and bounds.delay >= bounds.resolution:
        made, spread = _follow(walk, moves)
    else:
        made = spread = 0
        for key in range(len(queries.starts) - 1):
            if events.ordered[key]:
                made, wide = _march(walk, key, moves, made)
            else:
                moves, made = _wander(walk, key, moves, made, bounds.delay > 0)
                wide = events.starts[key + 1] - events.starts[key]
            spread = max(spread, wide)
    return Trace(moves[:made], ends, held, spread)


@njit(cache=True, nogil=True)
def _stroll(walk: _Walk, moves: Int32) -> tuple[int, int]:
    """All payments are events at once, and came in order: a branch-free merge of those that enter and those that leave.

    Each step is one move: the oldest event leaves, or the walk goes on to the next payment, and one more enters.
    """
    times, first, oldest = walk.queries.times, walk.queries.first, walk.oldest
    # places that cannot be negative cost the compiler no check
    at = low = query = wide = np.uint64(0)
    one, end, current = np.uint64(1), np.uint64(len(times)), np.uint64(walk.current)
    if walk.current:
        moves[at] = 0
        at += one
    while query < end:
        leaves = (low < first[query]) | (times[low] <= oldest[query])
        walk.ends[query] = at
        walk.held[query] = query + current - low
        moves[at] = ~np.int32(low) if leaves else np.int32(query + current)
        at += one
        low += np.uint64(leaves)
        query += one - np.uint64(leaves)
        wide = max(wide, query + one - low)
    # the one that enters after the last payment does not
    return int(np.int64(max(at, one) - one)), int(np.int64(wide))


@njit(cache=True, nogil=True)
def _follow(walk: _Walk, moves: Int32) -> tuple[int, int]:
    """As `_stroll`, but under a delay: an event enters, or the oldest leaves, or the walk goes on.

    Events of a key that are too new for its last payment enter and leave before the next key's first one.
    """
    times, first, oldest, newest = walk.queries.times, walk.queries.first, walk.oldest, walk.newest
    at = low = high = query = wide = np.uint64(0)
    one, end = np.uint64(1), np.uint64(len(times))
    while query < end:
        enters = (high < first[query]) | (times[high] <= newest[query])
        leaves = ((low < first[query]) | (times[low] <= oldest[query])) & (not enters)
        walk.ends[query] = at
        walk.held[query] = high - low
        # what is written is a move only if the walk does not go on
        moves[at] = np.int32(high) if enters else ~np.int32(low)
        high += np.uint64(enters)
        low += np.uint64(leaves)
        at += np.uint64(enters | leaves)
        query += one - np.uint64(enters | leaves)
        wide = max(wide, high - low)
    return int(np.int64(at)), int(np.int64(wide))


@njit(cache=True, nogil=True)
def _march(walk: _Walk, key: int, moves: Int32, made: int) -> tuple[int, int]:
    """A key whose payments and events came in order: both edges of the window only move forward."""
    times, known = walk.events.times, walk.events.known
    low = high = walk.events.starts[key]
    last = walk.events.starts[key + 1]
    wide = 0
    for query in range(walk.queries.starts[key], walk.queries.starts[key + 1]):
        rank = walk.queries.rows[query] + walk.current
        while high < last and known[high] < rank and times[high] <= walk.newest[query]:
            moves[made] = high
            made += 1
            high += 1
        wide = max(wide, high - low)
        while low < high and times[low] <= walk.oldest[query]:
            moves[made] = ~low
            made += 1
            low += 1
        walk.ends[query] = made
        walk.held[query] = high - low
    for at in range(low, high):
        moves[made] = ~at
        made += 1
    return made, wide


@njit(cache=True, nogil=True)
def _wander(walk: _Walk, key: int, moves: Int32, made: int, delayed: bool) -> tuple[Int32, int]:
    """Any key: events are switched on as they arrive, and the edges move to and fro."""
    events, times = walk.events, walk.events.times
    first, last = events.starts[key], events.starts[key + 1]
    on = np.zeros(last - first, np.bool_)
    arrived = low = first
    high = first if delayed else last
    inside = 0
    for query in range(walk.queries.starts[key], walk.queries.starts[key + 1]):
        rank = walk.queries.rows[query] + walk.current
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
        while high < last and times[high] <= walk.newest[query]:
            if on[high - first] and high >= low:
                moves[made] = high
                made += 1
            high += 1
        while high > first and times[high - 1] > walk.newest[query]:
            high -= 1
            if on[high - first] and high >= low:
                moves[made] = ~high
                made += 1
        while low < last and times[low] <= walk.oldest[query]:
            if on[low - first] and low < high:
                moves[made] = ~low
                made += 1
            low += 1
        while low > first and times[low - 1] > walk.oldest[query]:
            low -= 1
            if on[low - first] and low < high:
                moves[made] = low
                made += 1
        for at in range(start, made):
            inside += 1 if moves[at] >= 0 else -1
        walk.ends[query] = made
        walk.held[query] = inside
    # at most twice as many moves are to come as there are events of other keys
    moves = _with_room(moves, made + 2 * len(events.places) + 1)
    for at in range(low, high):
        if on[at - first]:
            moves[made] = ~at
            made += 1
    return moves, made


@njit(cache=True, nogil=True)
def _with_room(moves: Int32, room: int) -> Int32:
    if room <= len(moves):
        return moves
    longer = np.empty(max(room, 2 * len(moves)), np.int32)
    longer[: len(moves)] = moves
    return longer
