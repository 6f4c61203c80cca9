"""How a fold reads the moves of a window, and what it gives: one number per payment.

A fold reads which events enter and leave the window before each payment. It starts with an empty
window, and knows nothing of time, keys or lateness, which `kernel.trace` handles. Values are whole
numbers, so an event that leaves undoes exactly what it added. A column of numbers has `MISSING` for
no value, a column of names a negative code.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from shroff.features.engines.batch.grouping import Int
from shroff.features.engines.batch.kernel import Trace


@njit(inline="always")
def event_of(move: int) -> np.uint32:
    """The event that enters or leaves; unsigned, so no check for a negative index is compiled."""
    return np.uint32(move ^ (move >> 31))


@njit(inline="always")
def sign_of(move: int) -> int:
    """1 for an event that enters, -1 for one that leaves."""
    return ((move >> 31) << 1) + 1


@njit(inline="always")
def at_payments(trace: Trace, after: Int) -> Int:
    """The value at each payment, from the values after each move."""
    out = np.empty(len(trace.ends), np.int64)
    for query in range(len(out)):
        out[query] = after[np.uint64(trace.ends[query] - 1)] if trace.ends[query] > 0 else 0
    return out
