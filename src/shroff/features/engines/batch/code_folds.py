"""Folds over codes of values: how many different ones, how often each, and which is commonest."""

from __future__ import annotations

import numpy as np
from numba import njit

from shroff.features import aggregates
from shroff.features.aggregates import MISSING
from shroff.features.engines.batch.grouping import Int, Int32
from shroff.features.engines.batch.kernel import Trace
from shroff.features.engines.batch.moves import at_payments, event_of, sign_of

_rank = njit(inline="always")(aggregates.rank)


@njit(cache=True, nogil=True)
def distinct(trace: Trace, codes: Int, names: int) -> Int:
    """How many different codes, 0 … names - 1."""
    # one more for events without a code
    seen = np.zeros(names + 1, np.int32)
    after = np.empty(len(trace.moves), np.int64)
    held = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        code = codes[event_of(move)]
        place = np.uint32(code if code >= 0 else names)
        count = seen[place] + sign_of(move)
        # the first event of a code came, or its last one left
        changes = count == (1 if move >= 0 else 0)
        seen[place] = count
        held += sign_of(move) if changes and code >= 0 else 0
        after[at] = held
    return at_payments(trace, after)


@njit(cache=True, nogil=True)
def own(trace: Trace, codes: Int, names: int, mine: Int) -> Int:
    """How many events have the payment's own code (`mine`); `MISSING` where it has none."""
    seen = np.zeros(names + 1, np.int32)
    out = np.empty(len(trace.ends), np.int64)
    at = 0
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            code = codes[event_of(move)]
            seen[np.uint32(code if code >= 0 else names)] += sign_of(move)
            at += 1
        out[query] = seen[mine[query]] if mine[query] >= 0 else MISSING
    return out


@njit(cache=True, nogil=True)
def entropy(trace: Trace, codes: Int, names: int, terms: Int) -> Int:
    """n ln n − Σ c ln c over the codes' counts c, n in all; `terms[c]` is c ln c as an integer."""
    seen = np.zeros(names, np.int32)
    after = np.empty(len(trace.moves), np.int64)
    count = surprise = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        code = codes[event_of(move)]
        if code >= 0:
            before, now = seen[code], seen[code] + sign_of(move)
            seen[code] = now
            count += sign_of(move)
            surprise += terms[np.uint32(now)] - terms[np.uint32(before)]
        after[at] = terms[np.uint32(count)] - surprise
    return at_payments(trace, after)


@njit(cache=True, nogil=True)
def top(trace: Trace, codes: Int, names: int, spread: int) -> Int:
    """How many events have the most frequent code."""
    seen = np.zeros(names, np.int32)
    # how many codes have each count; a count is at most `spread`
    having = np.zeros(spread + 1, np.int32)
    after = np.empty(len(trace.moves), np.int64)
    most = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        code = codes[event_of(move)]
        if code >= 0:
            before, now = seen[code], seen[code] + sign_of(move)
            seen[code] = now
            having[np.uint32(before)] -= 1
            having[np.uint32(now)] += 1
            if now > most or (before == most and having[np.uint32(before)] == 0):
                most = now
        after[at] = most
    return at_payments(trace, after)


@njit(cache=True, nogil=True)
def quantile(trace: Trace, codes: Int, values: Int, share: int) -> Int:
    """The value of a rank (`aggregates.rank`), or `MISSING`.

    Codes are places among the values, which are sorted. A Fenwick tree keeps how many events have
    each code; the code of a rank is found by descent.
    """
    size = 1
    while size < len(values):
        size *= 2
    tree = np.zeros(size + 1, np.int64)
    out = np.empty(len(trace.ends), np.int64)
    at = count = 0
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            node = codes[event_of(move)] + 1
            count += sign_of(move) if node > 0 else 0
            while 0 < node <= size:
                tree[node] += sign_of(move)
                node += node & -node
            at += 1
        out[query] = MISSING
        if count > 0:
            left, place, step = _rank(share, count), 0, size
            while step > 0:
                if place + step <= size and tree[place + step] < left:
                    place += step
                    left -= tree[place]
                step //= 2
            out[query] = values[place]
    return out


@njit(cache=True, nogil=True)
def mode(trace: Trace, codes: Int, names: int) -> Int32:
    """The most frequent code, of several the smallest; -1 without one.

    A tournament over the codes: each node holds the one of its two that more events have.
    """
    size = 1
    while size < names:
        size *= 2
    seen = np.zeros(size, np.int64)
    best = np.zeros(2 * size, np.int32)
    for code in range(size):
        best[size + code] = code
    for node in range(size - 1, 0, -1):
        best[node] = best[2 * node]
    out = np.empty(len(trace.ends), np.int32)
    at = 0
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            code = codes[event_of(move)]
            at += 1
            if code < 0:
                continue
            seen[code] += sign_of(move)
            node = (size + code) // 2
            while node > 0:
                first, second = best[2 * node], best[2 * node + 1]
                best[node] = first if seen[first] >= seen[second] else second
                node //= 2
        out[query] = best[1] if seen[best[1]] > 0 else -1
    return out
