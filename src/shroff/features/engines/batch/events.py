"""Payments and events by key, in the order in which windows are walked over them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shroff.features.engines.batch.grouping import Flags, Int, Int32, put, take
from shroff.features.window import END_OF_TIME_US


class Queries(NamedTuple):
    """Payments by key, in order of arrival.

    `rows` are their places in the table, which is in order of arrival; `times` are microseconds.
    """

    starts: Int
    rows: Int32
    times: Int


class Lives(NamedTuple):
    """Payments that are events for a while, until their label changes, by place among the queries.

    `known`: the row of the last payment that does not see it yet. `gone`: the row of the last one
    that still does. `since`: when it became known, microseconds.
    """

    places: Int32
    known: Int
    gone: Int
    since: Int


class Events(NamedTuple):
    """Events by key, in order of (time, arrival).

    `places`: which of the queries each event is. `known`: the row of the last payment that does not
    see it. `arrivals`: by key, the positions in order of becoming known. `ordered`: by key, whether
    payments and events came in order of time and no event leaves. `plain`: all keys are ordered,
    and every payment is an event that the next payment knows. `gone`: the row of the last payment
    that still sees the event; `departures`: by key, the positions in order of leaving; both are
    empty where no event leaves.
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
        keep, known: by query, whether it stays an event, and the row of the last payment that does
            not see it.
        since: by query, when it became known, where that orders events of one moment; empty where
            the order of payments does, or no measure depends on it.
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
        gone = np.concatenate((np.full(len(places), END_OF_TIME_US), lives.gone))
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
            put(places[order], places, low)
            put(ranks[order], ranks, low)
            put(times[order], times, low)
            if len(gone) > 0:
                put(gone[order], gone, low)
        if not _rising(ranks[low:high]):
            ordered[key] = False
            put(low + np.argsort(ranks[low:high], kind="mergesort"), arrivals, low)
        if len(gone) > 0 and (gone[low:high] < END_OF_TIME_US).any():
            ordered[key] = False
            put(low + np.argsort(gone[low:high], kind="mergesort"), departures, low)
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
