"""The window law over a table, compiled: a window is walked over the payments of each key.

Where a key's payments and events came in order, the events that a payment sees lie side by side:
`edges` finds where they begin and end, in one pass, and a sum over them is a difference of two
running totals (`Span`). For everything else `trace` walks the payments in order of arrival and
writes down which events enter the window before each payment and which leave it. A measure is then
a fold over those moves, which knows nothing of time, keys or lateness. An event is switched on when
it arrives, wherever it lies in time, and the window's edges move both ways; so late and
out-of-order events are no special case. (A payment that is late by a day moves the edges back by a
day and forth again.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shroff.features import window
from shroff.features.engines.batch.events import Events, Queries
from shroff.features.engines.batch.grouping import Int, Int32, with_room
from shroff.features.window import END_OF_TIME_US, Window

_upto = njit(inline="always")(window.upto)


@njit(cache=True, nogil=True)
def edges(queries: Queries, events: Events, shifts: Int, resolution: int) -> NDArray[np.int32]:
    """By shift and payment, the place of the first event after the payment's time less the shift.

    Only for ordered keys. Two shifts are walked together, in registers, which hides the latency of
    memory.
    """
    places = np.empty((len(shifts), len(queries.times)), np.int32)
    times = events.times
    for key in range(len(queries.starts) - 1):
        if events.ordered[key]:
            first, end = np.uint64(queries.starts[key]), np.uint64(queries.starts[key + 1])
            last = np.uint64(events.starts[key + 1])
            for one in range(0, len(shifts), 2):
                # the last of an odd number is walked twice
                two = min(one + 1, len(shifts) - 1)
                shift, other = shifts[one], shifts[two]
                found, others = places[one], places[two]
                at = after = np.uint64(events.starts[key])
                for query in range(first, end):
                    time = queries.times[query]
                    at = _passed(times, at, last, _upto(time, shift, resolution))
                    after = _passed(times, after, last, _upto(time, other, resolution))
                    found[query], others[query] = at, after
    return places


@njit(cache=True, nogil=True)
def seen(queries: Queries, events: Events, current: int) -> Int32:
    """By payment, how many events it sees: those known before it, and itself if `current` is 1.

    Only for keys in order.
    """
    places = np.empty(len(queries.times), np.int32)
    if events.plain:
        for query in range(len(places)):
            places[query] = query + current
        return places
    for key in range(len(queries.starts) - 1):
        if events.ordered[key]:
            at, last = np.uint64(events.starts[key]), np.uint64(events.starts[key + 1])
            for query in range(queries.starts[key], queries.starts[key + 1]):
                at = _passed(events.known, at, last, queries.rows[query] + current - 1)
                places[query] = at
    return places


@njit(inline="always")
def _passed(values: Int, at: np.uint64, last: np.uint64, bound: int) -> np.uint64:
    """The first place from `at` on, before `last`, whose rising value is over the bound.

    It is mostly near, so the next three values are compared together, without a branch that could
    be mispredicted.
    """
    # unsigned places spare the compiler the check for negative indices
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    while at + four <= last and values[at + three] <= bound:
        at += four
    if at + three <= last:
        passed = np.uint64(values[at] <= bound) + np.uint64(values[at + one] <= bound)
        return at + passed + np.uint64(values[at + two] <= bound)
    while at < last and values[at] <= bound:
        at += one
    return at


class Span(NamedTuple):
    """Where a window's events lie, for ordered keys: by payment, places `low` … `high - 1`."""

    low: Int32
    high: Int32


class Trace(NamedTuple):
    """How a window moves over its events.

    Before payment `q`, the moves `moves[ends[q - 1]:ends[q]]` happen: event `m` enters, or event
    `~m` leaves. The window is empty at first, and the events of one key leave it before the first
    payment of the next. `held`: events in it at each payment; `spread`: they always lie within so
    many places.
    """

    moves: Int32
    ends: Int
    held: Int
    spread: int


class _Walk(NamedTuple):
    """A window on its way over the payments: its bounds in time by payment, and what it finds.

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
def trace(queries: Queries, events: Events, bounds: Window, span: Span) -> Trace:
    """Walk a window over the payments of some keys; `span` has the events of ordered keys."""
    payments = len(queries.rows)
    oldest, newest = np.empty(payments, np.int64), np.empty(payments, np.int64)
    for query in range(payments):
        time = queries.times[query]
        oldest[query] = _upto(time, bounds.window + bounds.delay, bounds.resolution)
        newest[query] = (
            _upto(time, bounds.delay, bounds.resolution) if bounds.delay > 0 else END_OF_TIME_US
        )
    ends, held = np.empty(payments, np.int64), np.empty(payments, np.int64)
    walk = _Walk(queries, events, int(bounds.include_current), oldest, newest, ends, held)
    # of an ordered key each event enters and leaves once; one more for a move that is overwritten
    moves = np.empty(2 * len(events.places) + 1, np.int32)
    # no literal: Numba would compile what is called for it, and once more for what it returns
    made = spread = int(np.int64(0))
    for key in range(len(queries.starts) - 1):
        if events.ordered[key]:
            made, wide = _march(walk, key, span, moves, made)
        else:
            moves, made = _wander(walk, key, moves, made, bounds.delay > 0)
            wide = events.starts[key + 1] - events.starts[key]
        spread = max(spread, wide)
    return Trace(moves[:made], ends, held, spread)


@njit(cache=True, nogil=True)
def _march(walk: _Walk, key: int, span: Span, moves: Int32, made: int) -> tuple[int, int]:
    """An ordered key: both edges of the window only move forward.

    Branch-free, because the branches would be mispredicted: in each step the oldest event leaves,
    or the next one enters, or the walk goes on to the next payment.
    """
    low = high = np.uint64(walk.events.starts[key])
    query, end = np.uint64(walk.queries.starts[key]), np.uint64(walk.queries.starts[key + 1])
    at, one, wide = np.uint64(made), np.uint64(1), np.uint64(0)
    while query < end:
        leaves = (low < high) & (low < np.uint64(span.low[query]))
        enters = (high < np.uint64(span.high[query])) & (not leaves)
        walk.ends[query] = at
        walk.held[query] = high - low
        # written always; it only counts as a move where `at` grows below
        moves[at] = np.int32(high) if enters else ~np.int32(low)
        low += np.uint64(leaves)
        high += np.uint64(enters)
        at += np.uint64(leaves | enters)
        query += one - np.uint64(leaves | enters)
        wide = max(wide, high - low)
    while low < high:
        moves[at] = ~np.int32(low)
        at += one
        low += one
    return int(np.int64(at)), int(np.int64(wide))


@njit(cache=True, nogil=True)
def _wander(walk: _Walk, key: int, moves: Int32, made: int, delayed: bool) -> tuple[Int32, int]:
    """Any key: events switch on as they arrive and off as they leave; edges move both ways."""
    events, times = walk.events, walk.events.times
    first, last = events.starts[key], events.starts[key + 1]
    on = np.zeros(last - first, np.bool_)
    arrived = departed = low = first
    stay = last if len(events.gone) == 0 else first
    high = first if delayed else last
    inside = 0
    for query in range(walk.queries.starts[key], walk.queries.starts[key + 1]):
        rank = walk.queries.rows[query] + walk.current
        # before one payment an event can arrive, go, cross the upper edge and cross the lower edge
        moves = with_room(moves, made + 4 * (last - first))
        start = made
        while arrived < last and events.known[events.arrivals[arrived]] < rank:
            at = events.arrivals[arrived]
            on[at - first] = True
            if low <= at < high:
                moves[made] = at
                made += 1
            arrived += 1
        while stay < last and departed < last and events.gone[events.departures[departed]] < rank:
            at = events.departures[departed]
            on[at - first] = False
            if low <= at < high:
                moves[made] = ~at
                made += 1
            departed += 1
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
    moves = with_room(moves, made + 2 * len(events.places) + 1)
    for at in range(low, high):
        if on[at - first]:
            moves[made] = ~at
            made += 1
    return moves, made
