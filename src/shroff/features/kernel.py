"""The window sweep: compiled loops over events sorted by key and time.

One sweep computes one slot of one stream for a range of keys. Within a key it walks the payments in order
of arrival and keeps two pointers into the events in order of time. An event is switched on when it arrives,
wherever it lies in time; the pointers move both ways. So late and out-of-order events are no special case,
and where everything is in order the pointers only move forward: linear time.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shroff.features import window

Int = NDArray[np.int64]

NONE: Final = np.iinfo(np.int64).min
"""Stands for "no such time" among times."""

_after = njit(inline="always")(window.after)
_upto = njit(inline="always")(window.upto)


@njit(cache=True, nogil=True)
def group_rows(codes: NDArray[np.int32], keys: int) -> tuple[Int, Int]:
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
    rows = np.empty(starts[keys], np.int64)
    free = starts[:-1].copy()
    for row in range(len(codes)):
        code = codes[row]
        if code >= 0:
            rows[free[code]] = row
            free[code] += 1
    return starts, rows


@njit(cache=True, nogil=True)
def sort_within(starts: Int, rows: Int, values: Int) -> bool:
    """Sort each key's rows by value, stably, in place; False when they were in order already."""
    disordered = False
    for key in range(len(starts) - 1):
        low, high = starts[key], starts[key + 1]
        for at in range(low + 1, high):
            if values[rows[at]] < values[rows[at - 1]]:
                part = rows[low:high].copy()
                rows[low:high] = part[np.argsort(values[part], kind="mergesort")]
                disordered = True
                break
    return disordered


@njit(cache=True, nogil=True)
def sweep(
    first: int,
    last: int,
    query_starts: Int,
    query_rows: Int,
    event_starts: Int,
    event_rows: Int,
    arrivals: Int,
    times: Int,
    ranks: Int,
    span: int,
    delay: int,
    resolution: int,
    current: int,
    totals: NDArray[np.int64],
    codes: NDArray[np.int32],
    n_codes: int,
    want_last: bool,
    out_count: Int,
    out_totals: NDArray[np.int64],
    out_distinct: NDArray[np.int64],
    out_last: Int,
) -> None:
    """Sweep keys `first` … `last - 1` and write one result per payment at its row.

    Args:
        query_starts, query_rows: payments by key, in order of arrival (a row number is an arrival rank).
        event_starts, event_rows: events by key, in order of (time, arrival).
        arrivals: positions into `event_rows` in order of becoming known, by key; empty: as they lie.
        times: event time by row, microseconds.
        ranks: by row, the arrival rank after which the row's event is known (its own rank for payments).
        span, delay, resolution: the window, microseconds (0: none).
        current: 1 counts the payment itself.
        totals [a, n], codes [d, n]: what to sum and what to count distinct, by row; a negative code is no value.
        out_*: results by row; `out_last` is `NONE` when the window is empty.
    """
    events = len(event_rows)
    known = np.zeros(events, np.uint8)
    n_totals, n_distinct = len(totals), len(codes)
    sums = np.zeros(n_totals, np.int64)
    distinct = np.zeros(n_distinct, np.int64)
    seen = np.zeros((n_distinct, n_codes), np.int32)
    for key in range(first, last):
        begin, end = event_starts[key], event_starts[key + 1]
        low = begin
        high = begin if delay > 0 else end
        arrived = begin
        top = begin - 1
        count = 0
        sums[:] = 0
        distinct[:] = 0
        for query in range(query_starts[key], query_starts[key + 1]):
            row = query_rows[query]
            rank = row + current
            while arrived < end:
                at = arrivals[arrived] if len(arrivals) > 0 else arrived
                if ranks[event_rows[at]] >= rank:
                    break
                known[at] = 1
                top = max(top, at)
                if low <= at < high:
                    count += 1
                    _add(event_rows[at], 1, totals, codes, sums, distinct, seen)
                arrived += 1
            time = times[row]
            if delay > 0:
                bound = _upto(time, delay, resolution)
                while high < end and times[event_rows[high]] <= bound:
                    if known[high] and high >= low:
                        count += 1
                        _add(event_rows[high], 1, totals, codes, sums, distinct, seen)
                    high += 1
                while high > begin and times[event_rows[high - 1]] > bound:
                    high -= 1
                    if known[high] and high >= low:
                        count -= 1
                        _add(event_rows[high], -1, totals, codes, sums, distinct, seen)
            bound = _after(time, span, delay, resolution)
            while low < end and times[event_rows[low]] <= bound:
                if known[low] and low < high:
                    count -= 1
                    _add(event_rows[low], -1, totals, codes, sums, distinct, seen)
                low += 1
            while low > begin and times[event_rows[low - 1]] > bound:
                low -= 1
                if known[low] and low < high:
                    count += 1
                    _add(event_rows[low], 1, totals, codes, sums, distinct, seen)
            out_count[row] = count
            for item in range(n_totals):
                out_totals[item, row] = sums[item]
            for item in range(n_distinct):
                out_distinct[item, row] = distinct[item]
            if want_last:
                at = min(high - 1, top)
                while at >= low and not known[at]:
                    at -= 1
                out_last[row] = times[event_rows[at]] if at >= low else NONE
        if n_distinct > 0:
            # the next key starts with an empty window
            for at in range(low, high):
                if known[at]:
                    _add(event_rows[at], -1, totals, codes, sums, distinct, seen)


@njit(inline="always")
def _add(
    row: int,
    sign: int,
    totals: NDArray[np.int64],
    codes: NDArray[np.int32],
    sums: Int,
    distinct: Int,
    seen: NDArray[np.int32],
) -> None:
    for item in range(len(totals)):
        sums[item] += sign * totals[item, row]
    for item in range(len(codes)):
        code = codes[item, row]
        if code >= 0:
            if sign > 0:
                distinct[item] += seen[item, code] == 0
                seen[item, code] += 1
            else:
                seen[item, code] -= 1
                distinct[item] -= seen[item, code] == 0
