"""Folds of sums: how many events, their total and their scatter.

Where a key's events came in order, counts and totals are differences of running totals (`running`,
`width`, `between`); otherwise they follow the moves of the window.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from shroff.arrays import Floats
from shroff.features.aggregates import MISSING
from shroff.features.engines.batch.grouping import Flags, Int
from shroff.features.engines.batch.kernel import Span, Trace
from shroff.features.engines.batch.moves import at_payments, event_of, sign_of

Wide = tuple[np.uint64, np.uint64]
"""An integer modulo 2**128: its high and its low 64 bits."""
_HALF_BITS: Final = np.uint64(32)
_LOW_MASK: Final = np.uint64(2**32 - 1)
_ONE: Final = np.uint64(1)
_ZERO: Final = np.uint64(0)


@njit(cache=True, nogil=True)
def running(column: Int, keep: Flags, none: int) -> Int:
    """Totals of a column before each event and after the last, over kept events with a value.

    They may overflow 64 bits; a difference that fits is right nevertheless, modulo 2⁶⁴.
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
    """The difference of `running` totals over the events of a window."""
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
        held += sign_of(move) if column[event_of(move)] != none else 0
        after[at] = held
    return at_payments(trace, after)


@njit(cache=True, nogil=True)
def total(trace: Trace, column: Int) -> Int:
    """The sum of a column; events without a value add nothing."""
    after = np.empty(len(trace.moves), np.int64)
    held = 0
    for at in range(len(trace.moves)):
        move = trace.moves[at]
        units = column[event_of(move)]
        held += sign_of(move) * units if units != MISSING else 0
        after[at] = held
    return at_payments(trace, after)


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
            units = column[event_of(move)]
            at += 1
            if units == MISSING:
                continue
            square, rest = _product(units, units)
            high, low = (
                _plus(high, low, square, rest) if move >= 0 else _minus(high, low, square, rest)
            )
            held += sign_of(move) * units
            count += sign_of(move)
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
        # a bit that is shifted out stays as the sticky bit, for rounding
        low = (low >> _ONE) | (high << np.uint64(63)) | (low & _ONE)
        high >>= _ONE
        shifts += 1
    return float(low) * 2.0**shifts
