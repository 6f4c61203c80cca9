"""Numbers by how few training rows are about as large, instead of their size."""

from __future__ import annotations

import numpy as np

from shroff.arrays import Floats, Matrix
from shroff.detect.deep.piecewise import Bends, PiecewiseLinear
from shroff.detect.rarity import Side

_BIN_COUNT = 20
"""Equal bins of a column's range; 40 are as good on the handbook's validation folds."""


def surprises(values: Matrix, side: Side) -> PiecewiseLinear:
    """From a value to its surprise among training rows [rows, columns], negative below the usual.

    The surprise is -log of the share of the rows in the value's bin, of equal bins, less that of
    the fullest bin, which is the usual value; it is linear between bins. Beyond the range it is
    that of an empty bin, so that no value outweighs all other columns. Missing values do not count.
    With `side="upper"` values below the mean count as the mean.

    >>> X = np.array([[0.0]] * 98 + [[1.0]] * 2, dtype=np.float32)
    >>> from shroff.detect.deep.ops import NumpyOps
    >>> new = np.array([[0.0], [1.0], [50.0]])
    >>> surprises(X, "upper").formula(NumpyOps(), new).round(2).ravel().tolist()
    [0.0, 3.5, 4.6]
    """
    return PiecewiseLinear(
        [_line(column[~np.isnan(column)].astype(np.float64), side) for column in values.T]
    )


def _line(values: Floats, side: Side) -> Bends:
    if not len(values) or values.min() == values.max():
        return Bends.through(values[:1] if len(values) else np.zeros(1), np.zeros(1))
    rows = np.maximum(values, values.mean()) if side == "upper" else values
    edges = np.linspace(rows.min(), rows.max(), _BIN_COUNT + 1)
    place = np.searchsorted(edges[1:-1], rows, "right")
    count, total = (
        np.bincount(place, weights=weights, minlength=_BIN_COUNT) for weights in (None, rows)
    )
    # a bin speaks at the mean of its rows, so that a whole number has the surprise of its own bin
    at = np.where(count > 0, total / np.maximum(count, 1), (edges[:-1] + edges[1:]) / 2.0)
    first, last, step = edges[0], edges[-1], edges[1] - edges[0]
    knots = np.r_[first - step, first, at, last, last + step]
    before = 0 if side == "both" else count[0]
    near = np.r_[before, count[0], count, count[-1], 0]
    heights = np.log((count.max() + 1.0) / (near + 1.0))
    heights[knots < at[count.argmax()]] *= -1.0
    # between knots that nearly coincide a slope would be too steep to compute with
    _, kept = np.unique(np.round((knots - first) / step, 6), return_index=True)
    return Bends.through(knots[kept], heights[kept], flat=True)
