"""The measures over a table: each is one fold over the moves of a window.

A fold is told which events enter and leave before each payment, and gives one number per payment.
It starts with an empty window, and knows nothing of time, keys or lateness: `kernel.trace` does.
Values are whole numbers, so that what entered leaves without a trace. `NONE` stands for "no value"
in a column of numbers, a negative code in a column of names.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from shroff.arrays import Floats
from shroff.features import aggregates
from shroff.features.aggregates import NONE
from shroff.features.engines.batch.grouping import Flags, Int, Int32
from shroff.features.engines.batch.kernel import Span, Trace

Wide = tuple[np.uint64, np.uint64]
"""An integer modulo 2**128: its high and its low 64 bits."""

_rank = njit(inline="always")(aggregates.rank)

_LARGEST_INT64: Final = 2**63 - 1
_HALF_BITS: Final = np.uint64(32)
_LOW_MASK: Final = np.uint64(2**32 - 1)
_ONE: Final = np.uint64(1)
_ZERO: Final = np.uint64(0)


@njit(inline="always")
def _event(move: int) -> np.uint32:
    """The event that enters or leaves. It is no negative place, and so is told to the compiler."""
    return np.uint32(move ^ (move >> 31))


@njit(inline="always")
def _sign(move: int) -> int:
    """1 for an event that enters, -1 for one that leaves."""
    return ((move >> 31) << 1) + 1


@njit(inline="always")
def _at_payments(trace: Trace, after: Int) -> Int:
    """What was held at each payment, of what was held after each move."""
    out = np.empty(len(trace.ends), np.int64)
    for query in range(len(out)):
        out[query] = after[np.uint64(trace.ends[query] - 1)] if trace.ends[query] > 0 else 0
    return out


@njit(cache=True, nogil=True)
def running(column: Int, keep: Flags, none: int) -> Int:
    """The totals of a column before each event and after the last, of events that are kept and have
    a value.

    They may leave 64 bits; a difference that fits is right all the same.
    """
    totals = np.empty(len(column) + 1, np.int64)
    totals[0] = held = 0
    for at in range(len(column)):
        held += column[at] if (column[at] != none) & keep[at] else 0
        totals[at + 1] = held
    return totals


@njit(cache=True, nogil=True)
def width(span: Span) -> Int:
    """How many events a window has."""
    out = np.empty(len(span.low), np.int64)
    for query in range(len(out)):
        out[query] = span.high[query] - span.low[query]
    return out


@njit(cache=True, nogil=True)
def between(span: Span, totals: Int) -> Int:
    """What `running` totals grew by over the events of a window."""
    out = np.empty(len(span.low), np.int64)
    for query in range(len(out)):
        out[query] = totals[np.uint32(span.high[query])] - totals[np.uint32(span.low[query])]
    return out


@njit(cache=True, nogil=True)
def present(trace: Trace, column: Int, none: int) -> Int:
    """Events with a value, that is not `none`."""
    after = np.empty(len(trace.moves), np.int64)
    held = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        held += _sign(move) if column[_event(move)] != none else 0
        after[at] = held
    return _at_payments(trace, after)


@njit(cache=True, nogil=True)
def total(trace: Trace, column: Int) -> Int:
    """The sum of a column; events without a value add nothing."""
    after = np.empty(len(trace.moves), np.int64)
    held = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        units = column[_event(move)]
        held += _sign(move) * units if units != NONE else 0
        after[at] = held
    return _at_payments(trace, after)


@njit(cache=True, nogil=True)
def scatter(trace: Trace, column: Int) -> Floats:
    """Σ(x − mean)²: exact in 128 bits around the whole number below the mean, rounded, and then
    moved to the mean.

    Around m = ⌊Σx/n⌋ it is Σx² − m(Σx + r) with r = Σx mod n, and around the mean r²/n less. Where
    Σ|x| stays below 2**63, Σx² stays below 2**126.
    """
    out = np.empty(len(trace.ends), np.float64)
    at = count = held = 0
    high = low = _ZERO
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            units = column[_event(move)]
            at += 1
            if units == NONE:
                continue
            square, rest = _product(units, units)
            high, low = (
                _plus(high, low, square, rest) if move >= 0 else _minus(high, low, square, rest)
            )
            held += _sign(move) * units
            count += _sign(move)
        if count == 0:
            out[query] = 0.0
            continue
        mean = held // count
        square, rest = _product(mean, held + held % count)
        square, rest = _minus(high, low, square, rest)
        beyond = float(held % count)
        out[query] = _rounded(square, rest) - beyond * beyond / count
    return out


@njit(inline="always")
def _product(a: int, b: int) -> Wide:
    """a · b modulo 2**128 as (high, low); both are signed."""
    x, y = np.uint64(abs(a)), np.uint64(abs(b))
    x1, x0, y1, y0 = x >> _HALF_BITS, x & _LOW_MASK, y >> _HALF_BITS, y & _LOW_MASK
    inner = x1 * y0 + ((x0 * y0) >> _HALF_BITS)
    outer = x0 * y1 + (inner & _LOW_MASK)
    high = x1 * y1 + (inner >> _HALF_BITS) + (outer >> _HALF_BITS)
    low = x * y
    if (a < 0) != (b < 0):
        return _minus(_ZERO, _ZERO, high, low)
    return high, low


@njit(inline="always")
def _plus(high: np.uint64, low: np.uint64, more_high: np.uint64, more_low: np.uint64) -> Wide:
    total = low + more_low
    return high + more_high + (_ONE if total < low else _ZERO), total


@njit(inline="always")
def _minus(high: np.uint64, low: np.uint64, less_high: np.uint64, less_low: np.uint64) -> Wide:
    return high - less_high - (_ONE if low < less_low else _ZERO), low - less_low


@njit(inline="always")
def _rounded(high: np.uint64, low: np.uint64) -> float:
    """The double nearest to a number of 128 bits (ties to even)."""
    shifts = 0
    while high != _ZERO:
        # the bit that falls out stays behind as "more than half"
        low = (low >> _ONE) | (high << np.uint64(63)) | (low & _ONE)
        high >>= _ONE
        shifts += 1
    return float(low) * 2.0**shifts


@njit(cache=True, nogil=True)
def least(trace: Trace, column: Int, spread: int) -> Int:
    """The smallest value of a column, or `NONE`.

    A tournament over the events in the window: each node holds the smaller of its two, and an event
    that enters or leaves plays again only as far up as the winner changes. Events in the window lie
    within `spread` places.
    """
    size = 1
    while size < spread:
        size *= 2
    tree = np.full(2 * size, _LARGEST_INT64)
    out = np.empty(len(trace.ends), np.int64)
    at = 0
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            event = _event(move)
            node = np.uint64(size + (event & (size - 1)))
            value = column[event] if move >= 0 and column[event] != NONE else _LARGEST_INT64
            while node > 0 and tree[node] != value:
                tree[node] = value
                value = min(value, tree[node ^ 1]) if node > 1 else value
                node >>= 1
            at += 1
        out[query] = tree[1] if tree[1] != _LARGEST_INT64 else NONE
    return out


@njit(cache=True, nogil=True)
def distinct(trace: Trace, codes: Int, names: int) -> Int:
    """How many different codes, 0 … names - 1."""
    # one more for events without a code
    seen = np.zeros(names + 1, np.int32)
    after = np.empty(len(trace.moves), np.int64)
    held = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        code = codes[_event(move)]
        place = np.uint32(code if code >= 0 else names)
        count = seen[place] + _sign(move)
        # a first one came, or a last one went
        changes = count == (1 if move >= 0 else 0)
        seen[place] = count
        held += _sign(move) if changes and code >= 0 else 0
        after[at] = held
    return _at_payments(trace, after)


@njit(cache=True, nogil=True)
def own(trace: Trace, codes: Int, names: int, mine: Int) -> Int:
    """How many events have the code that the payment itself has (`mine`); `NONE` where it has
    none.
    """
    seen = np.zeros(names + 1, np.int32)
    out = np.empty(len(trace.ends), np.int64)
    at = 0
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            code = codes[_event(move)]
            seen[np.uint32(code if code >= 0 else names)] += _sign(move)
            at += 1
        out[query] = seen[mine[query]] if mine[query] >= 0 else NONE
    return out


@njit(cache=True, nogil=True)
def entropy(trace: Trace, codes: Int, names: int, terms: Int) -> Int:
    """n ln n − Σ c ln c over the counts c of the codes, n together; `terms[c]` is c ln c as an
    integer.
    """
    seen = np.zeros(names, np.int32)
    after = np.empty(len(trace.moves), np.int64)
    count = surprise = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        code = codes[_event(move)]
        if code >= 0:
            before, now = seen[code], seen[code] + _sign(move)
            seen[code] = now
            count += _sign(move)
            surprise += terms[np.uint32(now)] - terms[np.uint32(before)]
        after[at] = terms[np.uint32(count)] - surprise
    return _at_payments(trace, after)


@njit(cache=True, nogil=True)
def top(trace: Trace, codes: Int, names: int, spread: int) -> Int:
    """How many events have the commonest code."""
    seen = np.zeros(names, np.int32)
    # how many codes have each count; a count is at most `spread`
    having = np.zeros(spread + 1, np.int32)
    after = np.empty(len(trace.moves), np.int64)
    most = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        code = codes[_event(move)]
        if code >= 0:
            before, now = seen[code], seen[code] + _sign(move)
            seen[code] = now
            having[np.uint32(before)] -= 1
            having[np.uint32(now)] += 1
            if now > most or (before == most and having[np.uint32(before)] == 0):
                most = now
        after[at] = most
    return _at_payments(trace, after)


@njit(cache=True, nogil=True)
def quantile(trace: Trace, codes: Int, values: Int, share: int) -> Int:
    """The value of a rank (`aggregates.rank`), or `NONE`; codes are places among the values, which
    rise.

    How many events have each code is kept in a Fenwick tree, in which the code of a rank is found
    by descent.
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
            node = codes[_event(move)] + 1
            count += _sign(move) if node > 0 else 0
            while 0 < node <= size:
                tree[node] += _sign(move)
                node += node & -node
            at += 1
        out[query] = NONE
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
    """The commonest code, of several the smallest; -1 without one.

    A tournament over the codes: each node holds the one of its two that more events have.
    """
    size = 1
    while size < names:
        size *= 2
    seen = np.zeros(size, np.int64)
    best = np.zeros(2 * size, np.int32)
    best[size:] = np.arange(size)
    for node in range(size - 1, 0, -1):
        best[node] = best[2 * node]
    out = np.empty(len(trace.ends), np.int32)
    at = 0
    for query in range(len(out)):
        while at < trace.ends[query]:
            move = trace.moves[at]
            code = codes[_event(move)]
            at += 1
            if code < 0:
                continue
            seen[code] += _sign(move)
            node = (size + code) // 2
            while node > 0:
                first, second = best[2 * node], best[2 * node + 1]
                best[node] = first if seen[first] >= seen[second] else second
                node //= 2
        out[query] = best[1] if seen[best[1]] > 0 else -1
    return out


@njit(inline="always")
def _bounds(trace: Trace, at: int, end: int, on: Flags, low: int, high: int) -> tuple[int, int]:
    """The first and the last event of the window after the moves from `at` to `end`, which `on`
    follows.

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
    """The values at these places, `NONE` for a place of -1."""
    out = np.empty(len(places), np.int64)
    for query in range(len(places)):
        out[query] = values[places[query]] if places[query] >= 0 else NONE
    return out


@njit(cache=True, nogil=True)
def decayed(
    trace: Trace, column: Int, steps: Int, now: Int, first: Int32, last: Int32, weights: Floats
) -> Floats:
    """The sum of a column, each event weighted by how many steps old it is.

    Whole numbers are summed step by step and then the steps in order of time, so that every engine
    rounds alike.

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
            if column[event] != NONE:
                sums[bins[event]] += column[event] if move >= 0 else -column[event]
            at += 1
        value = 0.0
        if last[query] >= 0:
            for step in range(bins[first[query]], bins[last[query]] + 1):
                age = min(max(now[query] - moments[step], 0), len(weights) - 1)
                value += sums[step] * weights[age]
        out[query] = value
    return out
