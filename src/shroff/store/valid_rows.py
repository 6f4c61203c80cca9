"""The compiled search of the point-in-time join.

Rows are grouped by key and sorted by event time, then arrival, within each. A payment's row is the
last of its key, not after its event time, that had arrived. A binary search finds the last by event
time. If that had not arrived, a Fenwick tree over the key's arrivals (Fenwick, *A New Data
Structure for Cumulative Frequency Tables*, 1994, with minima for sums) skips the rows before it
that had not either: at most log² n steps, however late rows arrive.
"""

from __future__ import annotations

from numba import njit

from shroff.arrays import Ints


@njit(cache=True, nogil=True)
def valid_rows(
    keys: Ints,
    times: Ints,
    sees: Ints,
    starts: Ints,
    time: Ints,
    known: Ints,
    numbers: Ints,
    found: Ints,
) -> None:
    """The number of each payment's row, -1 for none.

    Args:
        keys: the key of each payment, negative for one that no row has; `times` its event time,
            `sees` the last arrival that it sees.
        starts: [keys + 1] where each key's rows start; `time`, `known` and `numbers` are the rows'
            event times, arrivals and numbers.
        found: the result, of a payment each.
    """
    least = earliest(starts, known)
    for payment in range(len(keys)):
        key = keys[payment]
        if key < 0:
            found[payment] = -1
            continue
        start, low, high = starts[key], 0, starts[key + 1] - starts[key]
        while low < high:
            middle = (low + high) >> 1
            if time[start + middle] <= times[payment]:
                low = middle + 1
            else:
                high = middle
        while low > 0 and known[start + low - 1] > sees[payment]:
            low -= (low & -low) if least[start + low - 1] > sees[payment] else 1
        found[payment] = numbers[start + low - 1] if low > 0 else -1


@njit(cache=True, nogil=True)
def earliest(starts: Ints, known: Ints) -> Ints:
    """By row, the n-th of its key, the earliest arrival of the `n & -n` rows up to it."""
    least = known.copy()
    for key in range(len(starts) - 1):
        start, many = starts[key], starts[key + 1] - starts[key]
        for row in range(1, many + 1):
            parent = row + (row & -row)
            if parent <= many and least[start + row - 1] < least[start + parent - 1]:
                least[start + parent - 1] = least[start + row - 1]
    return least
