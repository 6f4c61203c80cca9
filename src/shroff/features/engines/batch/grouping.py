"""Columns, compiled: values become codes, rows are grouped by code, values are moved by place."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shroff.features.engines.batch.prefetch import AHEAD, prefetch

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]
Flags = NDArray[np.bool_]
Pairs = NDArray[np.uint64]
"""Two numbers per row."""

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class Codes(NamedTuple):
    """Growing codes.

    `slots`: a hash table of code + 1, zero where free; it holds only codes, to stay in the
    processor's cache. `keys`: the key of each code, two 64-bit numbers. `firsts`: the row where
    each code first occurred.
    """

    slots: Int32
    keys: Pairs
    firsts: Int32
    many: int


def no_codes() -> Codes:
    """No codes yet."""
    return Codes(
        np.zeros(1 << 10, np.int32), np.empty((1 << 9, 2), np.uint64), np.empty(1 << 9, np.int32), 0
    )


@njit(cache=True, nogil=True)
def encode(keys: Pairs, valid: Flags, known: Codes, start: int, out: Int32) -> Codes:
    """Codes of keys by first appearance, -1 where not valid, for the rows from `start` on."""
    # no literal: Numba would compile what is called for it, and once more for what it returns
    row = int(np.int64(0))
    while True:
        # arrays are passed one by one: Numba counts references at each access to an array in a
        # tuple
        row, many = _encode(
            keys, valid, row, known.slots, known.keys, known.firsts, known.many, start, out
        )
        known = Codes(known.slots, known.keys, known.firsts, many)
        if row == len(keys):
            return known
        known = _grown(known)


@njit(cache=True, nogil=True)
def _encode(
    keys: Pairs,
    valid: Flags,
    row: int,
    slots: Int32,
    names: Pairs,
    firsts: Int32,
    many: int,
    start: int,
    out: Int32,
) -> tuple[int, int]:
    """Encode rows from this one on, until the table is half full; returns the next row and the
    number of codes.
    """
    while row < len(keys):
        if valid[row]:
            at = _slot(slots, names, keys[row, 0], keys[row, 1])
            if slots[at] == 0:
                if many == len(firsts):
                    break
                names[many, 0], names[many, 1], firsts[many] = (
                    keys[row, 0],
                    keys[row, 1],
                    start + row,
                )
                many += 1
                slots[at] = many
            out[row] = slots[at] - 1
        else:
            out[row] = -1
        row += 1
    return row, many


def factorise(keys: Pairs, valid: Flags) -> tuple[Int32, int]:
    """Codes of keys by first appearance, -1 where not valid, and how many there are."""
    codes = np.empty(len(keys), np.int32)
    return codes, encode(keys, valid, no_codes(), 0, codes).many


def pairs(first: NDArray[Any], second: NDArray[Any] | int = 0) -> Pairs:
    """Keys of one or two integer columns."""
    found = np.empty((len(first), 2), np.uint64)
    found[:, 0], found[:, 1] = first, second
    return found


@njit(inline="always")
def _slot(slots: Int32, keys: Pairs, first: np.uint64, second: np.uint64) -> np.uint64:
    """The place of a key's code in the hash table, used or free."""
    mask, half = np.uint64(len(slots) - 1), np.uint64(32)
    # 2**64 over the golden ratio, so that consecutive keys spread; twice, as texts differ in their
    # high bits
    mixed = (first + (second ^ (second >> half)) * _GOLDEN) * _GOLDEN
    at = (((mixed ^ (mixed >> half)) * _GOLDEN) >> half) & mask
    while slots[at] != 0 and _differs(keys, np.uint32(slots[at] - 1), first, second):
        at = (at + np.uint64(1)) & mask
    return at


@njit(inline="always")
def _differs(keys: Pairs, code: np.uint32, first: np.uint64, second: np.uint64) -> bool:
    return bool((keys[code, 0] != first) | (keys[code, 1] != second))


@njit(cache=True, nogil=True)
def _grown(known: Codes) -> Codes:
    slots = np.zeros(4 * len(known.slots), np.int32)
    keys, firsts = np.empty((len(slots) // 2, 2), np.uint64), np.empty(len(slots) // 2, np.int32)
    for code in range(known.many):
        keys[code, 0], keys[code, 1] = known.keys[code, 0], known.keys[code, 1]
        firsts[code] = known.firsts[code]
        slots[_slot(slots, keys, keys[code, 0], keys[code, 1])] = code + 1
    return Codes(slots, keys, firsts, known.many)


def group(codes: Int32, keys: int) -> tuple[Int, Int32, NDArray[np.uint32]]:
    """Rows grouped by key, in row order within a key: a stable counting sort.

    Args:
        codes: key of each row, 0 … keys - 1; a negative code is no key.

    Returns:
        starts [keys + 1] and rows: the rows of key `k` are `rows[starts[k]:starts[k + 1]]`; and the
        place of each row in `rows`, just after them for a row without a key.
    """
    # allocated by NumPy, which asks for huge pages; Numba does not
    rows, places = np.empty(len(codes), np.int32), np.empty(len(codes), np.uint32)
    starts = _group(codes, keys, rows, places)
    return starts, rows[: starts[-1]], places


@njit(cache=True, nogil=True)
def _group(codes: Int32, keys: int, rows: Int32, places: NDArray[np.uint32]) -> Int:
    starts = np.zeros(keys + 1, np.int64)
    for code in codes:
        if code >= 0:
            starts[code + 1] += 1
    for key in range(keys):
        starts[key + 1] += starts[key]
    free = starts.copy()
    for row in range(len(codes)):
        ahead = codes[min(row + AHEAD, len(codes) - 1)]
        if ahead >= 0:
            prefetch(rows, free[ahead])
        code = codes[row]
        if code >= 0:
            place = free[code]
            free[code] += 1
            rows[place] = row
            places[row] = place
        else:
            places[row] = starts[keys]
    return starts


@njit(cache=True, nogil=True)
def scatter(values: NDArray[Any], places: NDArray[np.uint32], out: NDArray[Any]) -> None:
    """Put each row's value in its place; sequential reads make it fast, and `prefetch`."""
    for row in range(len(places)):
        prefetch(out, places[min(row + AHEAD, len(places) - 1)])
        out[places[row]] = values[row]


@njit(cache=True, nogil=True)
def gather(
    values: NDArray[np.float64], places: NDArray[np.uint32], out: NDArray[np.float64]
) -> bool:
    """Put each row's value from its place; returns whether none is NaN."""
    numbers = True
    for row in range(len(places)):
        prefetch(values, places[min(row + AHEAD, len(places) - 1)])
        value = values[places[row]]
        out[row] = value
        numbers &= value == value
    return numbers


@njit(inline="always")
def put(values: NDArray[Any], out: NDArray[Any], start: int) -> None:
    """Write values one after the other. Numba compiles `out[start:end] = values` for seconds."""
    for at in range(len(values)):
        out[start + at] = values[at]


@njit(cache=True, nogil=True)
def with_room(items: Int32, room: int) -> Int32:
    """The items with room for so many, or for twice as many as before."""
    if room <= len(items):
        return items
    longer = np.empty(max(room, 2 * len(items)), np.int32)
    put(items, longer, 0)
    return longer


@njit(cache=True, nogil=True)
def size(values: Int, none: int) -> float:
    """The approximate sum of absolute values."""
    total = 0.0
    for value in values:
        if value != none:
            total += abs(float(value))
    return total


@njit(cache=True, nogil=True)
def largest(values: Int) -> int:
    """The largest absolute value, 0 without values; that of -2**63 is negative."""
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
