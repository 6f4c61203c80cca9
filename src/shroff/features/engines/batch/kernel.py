"""The compiled ground: the window is walked over the payments of each key.

Here the window law is applied to a table. Where a key's payments and events came in order, the
events that a payment sees lie side by side: `edge` finds where they begin and end, in one pass, and
what is summed over them is a difference of two running totals (`Span`). Otherwise, and for what is
no sum, `trace` walks the payments in order of arrival and writes down which events enter the window
before each and which leave it; what is kept over the window is then a fold over those moves
(`folds`), which knows nothing of time, keys or lateness. An event is switched on when it arrives,
wherever it lies in time, and the window's edges move both ways; so late and out-of-order events are
no special case. (A payment that is late by a day moves the edges back by a day and forth again.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shroff.features import window
from shroff.features.engines.batch.grouping import Flags, Int, Int32, with_room
from shroff.features.window import FOREVER, Window

_upto = njit(inline="always")(window.upto)


@njit(cache=True, nogil=True)
def size(values: Int, none: int) -> float:
    """The sum of absolute values, about."""
    total = 0.0
    for value in values:
        if value != none:
            total += abs(float(value))
    return total


@njit(cache=True, nogil=True)
def largest(values: Int) -> int:
    """The largest absolute value, 0 without values; that of -2**63 is negative here."""
    most = 0
    for value in values:
        most = max(most, abs(value))
    return most


@njit(cache=True, nogil=True)
def take(values: Int, places: Int32) -> Int:
    """The values at these places."""
    taken = np.empty(len(places), np.int64)
    for at in range(len(places)):
        taken[at] = values[np.uint32(places[at])]
    return taken


class Queries(NamedTuple):
    """Payments by key, in order of arrival.

    `rows` are their places in the table, which is in order of arrival; `times` are microseconds.
    """

    starts: Int
    rows: Int32
    times: Int


class Lives(NamedTuple):
    """Payments that are events for a while, because their label changed: by payment (its place
    among the queries).

    `known`: the row of the last payment that does not see it yet; `gone`: that of the last one that
    still does; `since`: when it became known, microseconds.
    """

    places: Int32
    known: Int
    gone: Int
    since: Int


class Events(NamedTuple):
    """Events by key, in order of (time, arrival).

    `places`: which of the queries each event is. `known`: the row of the last payment that does not
    see it. `arrivals`: by key, the positions in order of becoming known. `ordered`, by key: both
    payments and events came in order of time, and stay. `plain`: all did, every payment is an
    event, and known to the next one. `gone`: the row of the last payment that still sees it, and
    `departures`, by key, the positions in order of going; both are empty where every event stays.
    """

    starts: Int
    places: Int32
    times: Int
    known: Int
    arrivals: Int32
    ordered: Flags
    plain: bool
    gone: Int
    departures: Int32


@njit(cache=True, nogil=True)
def settle(queries: Queries, keep: Flags, known: Int, since: Int, lives: Lives) -> Events:
    """The payments that are events, in order of time.

    Args:
        keep, known: by query, whether it is an event for good, and the row of the last payment that
            does not see it.
        since: by query, when it became known, where that decides which of two events of one moment
            is first; empty where the order of the payments does, or nothing depends on it.
        lives: those that are events for a while.
    """
    keys = len(queries.starts) - 1
    ordered = np.empty(keys, np.bool_)
    for key in range(keys):
        ordered[key] = _rising(queries.times[queries.starts[key] : queries.starts[key + 1]])
    everything = np.arange(len(keep), dtype=np.int32)
    none, stays = np.empty(0, np.int64), np.empty(0, np.int32)
    if ordered.all() and len(lives.places) == 0 and _plain(queries, keep, known):
        return Events(
            queries.starts, everything, queries.times, known, everything, ordered, True, none, stays
        )
    places = everything[keep]
    ranks, gone, departures = take(known, places), none, stays
    moments = take(since, places) if len(since) > 0 else none
    if len(lives.places) > 0:
        gone = np.concatenate((np.full(len(places), FOREVER), lives.gone))
        moments = np.concatenate((moments, lives.since)) if len(since) > 0 else none
        places, ranks = np.concatenate((places, lives.places)), np.concatenate((ranks, lives.known))
        order = np.argsort(places, kind="mergesort")
        places, ranks, gone = places[order], ranks[order], gone[order]
        moments = moments[order] if len(since) > 0 else none
        departures = np.arange(len(places), dtype=np.int32)
    starts = np.searchsorted(places, queries.starts)
    times = take(queries.times, places)
    arrivals = np.arange(len(places), dtype=np.int32)
    for key in range(keys):
        low, high = starts[key], starts[key + 1]
        if not ordered[key] or len(since) > 0:
            order = np.arange(low, high)
            if len(since) > 0:
                order = low + np.argsort(moments[low:high], kind="mergesort")
            order = order[np.argsort(times[order], kind="mergesort")]
            places[low:high], ranks[low:high] = places[order], ranks[order]
            times[low:high] = times[order]
            if len(gone) > 0:
                gone[low:high] = gone[order]
        if not _rising(ranks[low:high]):
            ordered[key] = False
            arrivals[low:high] = low + np.argsort(ranks[low:high], kind="mergesort")
        if len(gone) > 0 and (gone[low:high] < FOREVER).any():
            ordered[key] = False
            departures[low:high] = low + np.argsort(gone[low:high], kind="mergesort")
    return Events(starts, places, times, ranks, arrivals, ordered, False, gone, departures)


@njit(inline="always")
def _plain(queries: Queries, keep: Flags, known: Int) -> bool:
    plain = True
    for query in range(len(keep)):
        plain &= keep[query] & (known[query] == queries.rows[query])
    return plain


@njit(inline="always")
def _rising(values: NDArray[np.signedinteger[Any]]) -> bool:
    rising = True
    for at in range(1, len(values)):
        rising &= bool(values[at] >= values[at - 1])
    return rising


@njit(cache=True, nogil=True)
def edges(queries: Queries, events: Events, shifts: Int, resolution: int) -> NDArray[np.int32]:
    """By shift and payment, how many events happened up to so long before it: the place of the
    first that is later.

    Only for keys in order. All shifts are walked at once, so that the processor waits for none of
    them alone.
    """
    places = np.empty((len(shifts), len(queries.times)), np.int32)
    at = np.empty(len(shifts), np.uint64)
    for key in range(len(queries.starts) - 1):
        if events.ordered[key]:
            at[:] = np.uint64(events.starts[key])
            last = np.uint64(events.starts[key + 1])
            for query in range(queries.starts[key], queries.starts[key + 1]):
                for number in range(len(shifts)):
                    bound = _upto(queries.times[query], shifts[number], resolution)
                    at[number] = _passed(events.times, at[number], last, bound)
                    places[number, query] = at[number]
    return places


@njit(cache=True, nogil=True)
def seen(queries: Queries, events: Events, current: int) -> Int32:
    """By payment, how many events it may see: those known before it, itself too if `current` is 1.

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

    It is mostly near, so the next three values are compared together, without a branch to
    mispredict.
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
    """Where the events of a window lie, of keys in order: before each payment those from `low` up
    to before `high`.
    """

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
    """A window's way over the payments: by payment, the times it must lie between, and what is
    found.

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
    """Walk a window over the payments of some keys; `span` is where its events lie, of those that
    are in order.
    """
    payments = len(queries.rows)
    oldest, newest = np.empty(payments, np.int64), np.empty(payments, np.int64)
    for query in range(payments):
        time = queries.times[query]
        oldest[query] = _upto(time, bounds.window + bounds.delay, bounds.resolution)
        newest[query] = (
            _upto(time, bounds.delay, bounds.resolution) if bounds.delay > 0 else FOREVER
        )
    ends, held = np.empty(payments, np.int64), np.empty(payments, np.int64)
    walk = _Walk(queries, events, int(bounds.include_current), oldest, newest, ends, held)
    # in order, each event enters at most once and leaves once; one more for a move that is taken
    # back
    moves = np.empty(2 * len(events.places) + 1, np.int32)
    made = spread = 0
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
    """A key whose payments and events came in order: both edges of the window only move forward.

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
    """Any key: events are switched on as they arrive, and off as they go; the edges move to and
    fro.
    """
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
