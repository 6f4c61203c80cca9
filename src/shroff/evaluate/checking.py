"""The checks of every measure's arrays: labels are 0 or 1, scores finite, lengths equal."""

from __future__ import annotations

import numpy as np
import polars as pl

from shroff.arrays import Array, Bools, Floats, Ints
from shroff.detect.rows import as_labels
from shroff.errors import DataError


def check_labels(y: Array) -> Bools:
    """`y` [n] as booleans, True for fraud; `DataError` for anything but 0 and 1."""
    return as_labels(y, y.size)


def check_length(name: str, values: Array, n: int) -> None:
    """`DataError` unless `values` is one-dimensional and has a value for each of `n` payments."""
    if values.shape != (n,):
        raise DataError(
            f"expected `{name}` with one value for each of {n} payments, got shape {values.shape}"
        )


def check_numbers(name: str, values: Array, n: int) -> Floats:
    """`values` as float64 [n]; `DataError` if a length differs or a value is NaN or infinite."""
    check_length(name, values, n)
    if values.dtype.kind not in "buif":
        raise DataError(f"expected `{name}` to hold numbers, got dtype {values.dtype}")
    usable = np.isfinite(values)
    if not usable.all():
        raise DataError(
            f"expected finite numbers in `{name}`, got NaN or infinity in {n - usable.sum()} of "
            f"{n} rows, first in row {usable.argmin()}"
        )
    return values.astype(np.float64)


def check_probabilities(values: Array, n: int) -> Floats:
    """`values` as float64 [n] in [0, 1]; `DataError` otherwise."""
    numeric = check_numbers("probability", values, n)
    if ((numeric < 0) | (numeric > 1)).any():
        raise DataError(
            "expected probabilities between 0 and 1, got values outside: calibrate the scores first"
        )
    return numeric


def rank_codes(key: Array) -> Ints:
    """The rank 0, 1, 2 … of each value of `key` among its distinct values, ascending; -1 where it
    is missing.

    Missing are None, and whole numbers below 0.

    >>> rank_codes(np.array(["b", None, "a", "b"], dtype=object)).tolist()
    [1, -1, 0, 1]
    >>> rank_codes(np.array([7, -1, 3, 7])).tolist()
    [1, -1, 0, 1]
    """
    try:
        values = pl.Series(key.tolist(), dtype=pl.String) if key.dtype == object else pl.Series(key)
    except TypeError:
        raise DataError(
            "expected card keys as text or None, got objects of another type among them"
        ) from None
    if key.dtype.kind == "i":
        values = values.set(values < 0, None)
    rank = values.rank("dense").cast(pl.Int64) - 1
    return rank.fill_null(-1).to_numpy()


def count_from_top(y: Bools, score: Floats) -> tuple[Floats, Ints, Ints]:
    """The distinct scores from high to low, and how many payments and frauds score at least as
    high.

    >>> value, flagged, caught = count_from_top(
    ...     np.array([True, False, True]), np.array([0.9, 0.5, 0.5])
    ... )
    >>> value.tolist(), flagged.tolist(), caught.tolist()
    ([0.9, 0.5], [1, 3], [1, 2])
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))[: ranked.size]
    return ranked[last], last + 1, np.cumsum(y[order], dtype=np.int64)[last]
