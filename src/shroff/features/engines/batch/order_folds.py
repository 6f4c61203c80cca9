"""Folds of order: the smallest value, the first and last event by time, and sums that decay."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from shroff.arrays import Floats
from shroff.features.aggregates import MISSING
from shroff.features.engines.batch.grouping import Flags, Int, Int32
from shroff.features.engines.batch.kernel import Trace
from shroff.features.engines.batch.moves import event_of

_MAX_INT64: Final = 2**63 - 1


@njit(cache=True, nogil=True)
def least(trace: Trace, column: Int, spread: int) -> Int:
    """The smallest value of a column, or `MISSING`.

    A tournament tree over the events in the window: each node holds the smaller of its two
    children, and a change goes up only as far as the minimum changes. Events in the window lie
    within `spread` places.
    """
    size = 1
    while size < spread:
        size *= 2
    tree = np.full(2 * size, _MAX_INT64)
    out = np.empty(len(trace.ends), np.int64)
    at = 0
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            event = event_of(move)
            node = np.uint64(size + (event & (size - 1)))
            value = column[event] if move >= 0 and column[event] != MISSING else _MAX_INT64
            while node > 0 and tree[node] != value:
                tree[node] = value
                value = min(value, tree[node ^ 1]) if node > 1 else value
                node >>= 1
            at += 1
        out[query] = tree[1] if tree[1] != _MAX_INT64 else MISSING
    return out


@njit(inline="always")
def _bounds(trace: Trace, at: int, end: int, on: Flags, low: int, high: int) -> tuple[int, int]:
    """The window's first and last event after the moves from `at` to `end`, noted in `on`.

    Of an empty window they are `len(on)` and -1.
    """
    while at < end:
        move = trace.moves[at]
        if move >= 0:
            on[move] = True
            low, high = min(low, move), max(high, move)
        else:
            on[~move] = False
        at += 1
    while low <= high and not on[low]:
        low += 1
    while high >= low and not on[high]:
        high -= 1
    if low > high:
        low, high = len(on), -1
    return low, high


@njit(cache=True, nogil=True)
def edges(trace: Trace, events: int) -> tuple[Int32, Int32]:
    """The first and the last event of the window by time, as positions; -1 when it is empty."""
    on = np.zeros(events, np.bool_)
    first = np.empty(len(trace.ends), np.int32)
    last = np.empty(len(trace.ends), np.int32)
    low, high = events, -1
    at = 0
    for query in range(len(first)):
        end = trace.ends[query]
        low, high = _bounds(trace, at, end, on, low, high)
        at = end
        first[query] = low if high >= 0 else -1
        last[query] = high
    return first, last


@njit(cache=True, nogil=True)
def nth(trace: Trace, events: int, n: int, forward: bool) -> Int32:
    """The nth event of the window by time, from its beginning (`forward`) or its end, as a
    position; -1 without one.
    """
    on = np.zeros(events + 1, np.bool_)
    places = np.empty(len(trace.ends), np.int32)
    low, high = events, -1
    at = 0
    for query in range(len(places)):
        end = trace.ends[query]
        low, high = _bounds(trace, at, end, on, low, high)
        at = end
        places[query] = -1
        if trace.held[query] >= n:
            place, left = (low, n - 1) if forward else (high, n - 1)
            while left > 0:
                place += 1 if forward else -1
                left -= on[place]
            places[query] = place
    return places


@njit(cache=True, nogil=True)
def pick(places: Int32, values: Int) -> Int:
    """The values at these places, `MISSING` for a place of -1."""
    out = np.empty(len(places), np.int64)
    for query in range(len(places)):
        out[query] = values[places[query]] if places[query] >= 0 else MISSING
    return out


@njit(cache=True, nogil=True)
def decayed(
    trace: Trace, column: Int, steps: Int, now: Int, first: Int32, last: Int32, weights: Floats
) -> Floats:
    """The sum of a column, each event weighted by how many steps old it is.

    Each step is summed as an integer, and then the steps in order of time, so every engine rounds
    alike.

    Args:
        steps, now: the step of each event, in order of time by key, and of each payment.
        first, last: the window's first and last event (`edges`).
        weights: by age in steps; the last one is zero and holds for all that is older.
    """
    bins = np.empty(len(steps), np.int32)
    moments = np.empty(len(steps), np.int64)
    many = 0
    for event in range(len(steps)):
        if event == 0 or steps[event] != steps[event - 1]:
            moments[many] = steps[event]
            many += 1
        bins[event] = many - 1
    sums = np.zeros(many, np.int64)
    out = np.empty(len(trace.ends), np.float64)
    at = 0
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            event = move if move >= 0 else ~move
            if column[event] != MISSING:
                sums[bins[event]] += column[event] if move >= 0 else -column[event]
            at += 1
        value = 0.0
        if last[query] >= 0:
            for step in range(bins[first[query]], bins[last[query]] + 1):
                age = min(max(now[query] - moments[step], 0), len(weights) - 1)
                value += sums[step] * weights[age]
        out[query] = value
    return out
