"""Grouping, compiled: values become codes, and rows are grouped by code."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]
Flags = NDArray[np.bool_]
Pairs = NDArray[np.uint64]
"""Two numbers by row."""

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class Codes(NamedTuple):
    """Growing codes: a hash table of (key, code + 1), zero where it is free; and the row where each code came first.

    A key is two numbers of 64 bits.
    """

    slots: NDArray[np.uint64]
    firsts: Int32
    many: int


def no_codes() -> Codes:
    """A code of nothing yet."""
    return Codes(np.zeros((1 << 10, 3), np.uint64), np.empty(1 << 9, np.int32), 0)


@njit(cache=True, nogil=True)
def encode(keys: Pairs, valid: Flags, known: Codes, start: int, out: Int32) -> Codes:
    """Codes of keys by first appearance, -1 where not valid, for the rows from `start` on."""
    slots, firsts, many = known.slots, known.firsts, known.many
    row = 0
    while True:
        row, many = _encode(keys, valid, row, slots, firsts, many, start, out)
        if row == len(keys):
            return Codes(slots, firsts, many)
        slots = _grown(slots)
        firsts = with_room(firsts, len(slots) // 2)


@njit(cache=True, nogil=True)
def _encode(
    keys: Pairs,
    valid: Flags,
    row: int,
    slots: NDArray[np.uint64],
    firsts: Int32,
    many: int,
    start: int,
    out: Int32,
) -> tuple[int, int]:
    """Encode rows from this one on, until the table is half full; gives the next row and how many codes there are."""
    while row < len(keys):
        if valid[row]:
            at = _slot(slots, keys[row, 0], keys[row, 1])
            if slots[at, 2] == 0:
                if many == len(firsts):
                    break
                firsts[many] = start + row
                many += 1
                slots[at, 0], slots[at, 1], slots[at, 2] = keys[row, 0], keys[row, 1], many
            out[row] = np.int32(slots[at, 2]) - 1
        else:
            out[row] = -1
        row += 1
    return row, many


def factorise(keys: Pairs, valid: Flags) -> tuple[Int32, int]:
    """Codes of keys by first appearance, -1 where not valid, and how many there are."""
    codes = np.empty(len(keys), np.int32)
    return codes, encode(keys, valid, no_codes(), 0, codes).many


def pairs(first: NDArray[Any], second: NDArray[Any] | int = 0) -> Pairs:
    """Keys of two columns of whole numbers, or of one."""
    found = np.empty((len(first), 2), np.uint64)
    found[:, 0], found[:, 1] = first, second
    return found


@njit(inline="always")
def _slot(slots: NDArray[np.uint64], first: np.uint64, second: np.uint64) -> np.uint64:
    """Where a key is in a hash table, or would go."""
    mask, half = np.uint64(len(slots) - 1), np.uint64(32)
    # 2**64 over the golden ratio, so that consecutive keys spread; twice, as texts differ in their high bits
    mixed = (first + (second ^ (second >> half)) * _GOLDEN) * _GOLDEN
    at = (((mixed ^ (mixed >> half)) * _GOLDEN) >> half) & mask
    while slots[at, 2] != 0 and (slots[at, 0] != first or slots[at, 1] != second):
        at = (at + np.uint64(1)) & mask
    return at


@njit(cache=True, nogil=True)
def _grown(slots: NDArray[np.uint64]) -> NDArray[np.uint64]:
    larger = np.zeros((4 * len(slots), 3), np.uint64)
    for slot in range(len(slots)):
        if slots[slot, 2] != 0:
            larger[_slot(larger, slots[slot, 0], slots[slot, 1])] = slots[slot]
    return larger


@njit(cache=True, nogil=True)
def group(codes: Int32, keys: int) -> tuple[Int, Int32, NDArray[np.uint32]]:
    """Rows grouped by key, in row order within a key: a stable counting sort.

    Args:
        codes: key of each row, 0 … keys - 1; a negative code is no key.

    Returns:
        starts [keys + 1] and rows: the rows of key `k` are `rows[starts[k]:starts[k + 1]]`; and the place of each row
        in `rows`, just behind them for a row without a key.
    """
    starts = np.zeros(keys + 1, np.int64)
    for code in codes:
        if code >= 0:
            starts[code + 1] += 1
    for key in range(keys):
        starts[key + 1] += starts[key]
    rows = np.empty(starts[keys], np.int32)
    places = np.empty(len(codes), np.uint32)
    free = starts.copy()
    for row in range(len(codes)):
        code = codes[row]
        if code >= 0:
            place = free[code]
            free[code] += 1
            rows[place] = row
            places[row] = place
        else:
            places[row] = len(rows)
    return starts, rows, places


@njit(cache=True, nogil=True)
def scatter(values: NDArray[Any], places: NDArray[np.uint32], out: Int) -> None:
    """Put each row's value in its place: reading in order is what makes it fast."""
    for row in range(len(places)):
        out[places[row]] = values[row]


@njit(cache=True, nogil=True)
def gather(values: NDArray[np.float64], places: NDArray[np.uint32], out: NDArray[np.float64]) -> bool:
    """Put each row's value from its place; gives whether all are numbers."""
    numbers = True
    for row in range(len(places)):
        value = values[places[row]]
        out[row] = value
        numbers &= value == value
    return numbers


@njit(cache=True, nogil=True)
def with_room(items: Int32, room: int) -> Int32:
    """The same items with room for so many, or at least twice as much as there was."""
    if room <= len(items):
        return items
    longer = np.empty(max(room, 2 * len(items)), np.int32)
    longer[: len(items)] = items
    return longer
