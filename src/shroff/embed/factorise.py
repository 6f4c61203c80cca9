"""Vectors from counts: shifted positive pointwise mutual information, factorised.

    PPMI(a, b) = max(0, ln(n(a,b) · n / (n(a) · n(b))) − ln shift)

Levy and Goldberg, Neural Word Embedding as Implicit Matrix Factorization, 2014: skip-gram with
negative sampling factorises this matrix without its floor. A token's vector is its row of U √Σ, of
the largest singular values.

Logarithms are rounded to multiples of 2⁻³² before they are added. Products are summed row by row,
and lengths by `math.fsum`, which rounds once: no sum depends on the order that a library or its
threads choose.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shroff.arrays import Floats, Ints

MAX_COMPONENT: Final = 32_767
"""The value of the largest component."""

_UNITS_PER_NAT: Final = 2**32
_ITERATIONS: Final = 100
_MIN_REMAINING_SHARE: Final = 1e-9
"""A column with a smaller share left after orthogonalisation is only rounding error."""


def ppmi(counts: Ints, shift: float) -> Floats:
    """The PPMI matrix of a symmetric matrix of counts.

    >>> ppmi(np.array([[0, 4], [4, 0]]), 1.0).round(4).tolist()
    [[0.0, 0.6931], [0.6931, 0.0]]
    """
    single = counts.sum(axis=1)
    logs = _logarithms(single)
    total = _logarithms(single.sum(keepdims=True))
    found = (
        _logarithms(counts)
        + total
        - logs[:, None]
        - logs[None, :]
        - round(math.log(shift) * _UNITS_PER_NAT)
    )
    return np.where(counts > 0, np.maximum(found, 0), 0) / float(_UNITS_PER_NAT)


def factorise(matrix: Floats, dimensions: int) -> NDArray[np.int16]:
    """A vector for each row of a symmetric matrix, by orthogonal iteration, as 16-bit integers.

    It makes a fixed number of steps from a fixed start. Signs are chosen so that the largest
    component is positive. Components beyond the rank are zero.
    """
    columns = _orthonormal(_start(len(matrix), dimensions))
    for _ in range(_ITERATIONS):
        columns = _orthonormal(_product(matrix, columns))
    image = _product(matrix, columns)
    singular = [math.sqrt(math.fsum((column * column).tolist())) for column in image.T]
    order = sorted(range(dimensions), key=lambda at: -singular[at])
    vectors = np.stack([_signed(columns[:, at]) * math.sqrt(singular[at]) for at in order], axis=1)
    return whole(vectors)


def whole(vectors: NDArray[np.floating]) -> NDArray[np.int16]:
    """Vectors as 16-bit integers, of which the largest is `MAX_COMPONENT`."""
    largest = float(np.abs(vectors).max(initial=0.0))
    found: NDArray[np.int16] = np.rint(
        vectors * (MAX_COMPONENT / largest if largest > 0 else 0.0)
    ).astype(np.int16)
    return found


def _logarithms(counts: Ints) -> Ints:
    values, places = np.unique(counts, return_inverse=True)
    table = np.array(
        [round(math.log(value) * _UNITS_PER_NAT) if value > 0 else 0 for value in values.tolist()],
        np.int64,
    )
    return table[places].reshape(counts.shape)


def _start(rows: int, columns: int) -> Floats:
    places = np.arange(1, rows + 1, dtype=np.uint64)[:, None] * np.arange(
        1, columns + 1, dtype=np.uint64
    )
    # any fixed numbers without a pattern do: fractional parts of the golden ratio times squares
    return (places * places * np.uint64(2_654_435_769) % np.uint64(_UNITS_PER_NAT)).astype(
        np.float64
    ) / _UNITS_PER_NAT - 0.5


def _product(matrix: Floats, columns: Floats) -> Floats:
    total = np.zeros_like(columns)
    for row, weights in zip(matrix, columns, strict=True):
        # the matrix is symmetric: its row is its column
        total += row[:, None] * weights
    return total


def _orthonormal(columns: Floats) -> Floats:
    done: list[Floats] = []
    for column in columns.T:
        rest, before = column, _length(column)
        for other in done * 2:
            # orthogonalising twice is enough (Giraud, Langou and Rozložník 2005)
            rest = rest - other * math.fsum((other * rest).tolist())
        length = _length(rest)
        done.append(
            rest / length if length > _MIN_REMAINING_SHARE * before else np.zeros_like(rest)
        )
    return np.stack(done, axis=1)


def _length(column: Floats) -> float:
    return math.sqrt(math.fsum((column * column).tolist()))


def _signed(column: Floats) -> Floats:
    return column if column[np.abs(column).argmax()] >= 0 else -column
