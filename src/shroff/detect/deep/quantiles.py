"""Numbers by their rank among the training rows instead of their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import norm

from shroff.arrays import Floats, Matrix
from shroff.detect.deep.ops import Ops, Tensor

_KNOT_COUNT = 65


@dataclass(frozen=True, eq=False)
class Quantiles:
    """A piecewise linear function per column, from a value to the normal score of its rank among
    training rows.

    Equal values share their middle rank. So a flag of 0 scores about 0, and one of 1 by its share:
    2.3 where 2 % of the rows have it. Beyond the smallest and largest value the outer slopes
    continue.

    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]], dtype=np.float32)
    >>> from shroff.detect.deep.ops import NumpyOps
    >>> Quantiles.learn(X).formula(NumpyOps(), X.astype(float)).round(2).ravel().tolist()
    [-1.28, -0.52, 0.0, 0.52, 1.28]
    """

    bends: Sequence[tuple[Floats, Floats, float, float]]
    """By column: knots [1, bends], slope changes [bends, 1], first height and first slope."""

    @classmethod
    def learn(cls, values: Matrix) -> Self:
        """From training rows [rows, columns]; missing values do not count."""
        return cls([_line(column[~np.isnan(column)].astype(np.float64)) for column in values.T])

    def formula(self, ops: Ops, values: Tensor) -> Tensor:
        """[rows, columns] to scores of the same shape; missing values stay missing."""
        return ops.concat(
            [
                self._column(ops, ops.columns(values, [at]), line)
                for at, line in enumerate(self.bends)
            ]
        )

    def _column(self, ops: Ops, x: Tensor, line: tuple[Floats, Floats, float, float]) -> Tensor:
        at, growth, height, slope = line
        past = ops.matmul(ops.relu(ops.subtract(x, ops.constant(at))), ops.constant(growth))
        first = ops.multiply(ops.subtract(x, ops.constant(at[:, :1])), ops.constant(slope))
        return ops.add(ops.add(past, first), ops.constant(height))


def _line(values: Floats) -> tuple[Floats, Floats, float, float]:
    rows = np.sort(values)
    widest = norm.ppf(1.0 - 0.5 / max(len(rows), 1)) if len(rows) > 1 else 0.0
    places = norm.cdf(np.linspace(-widest, widest, _KNOT_COUNT))
    knots = np.unique(np.quantile(rows, places, method="nearest")) if len(rows) else np.zeros(1)
    if len(knots) == 1:
        return knots[None, :], np.zeros((1, 1)), 0.0, 1.0
    ranks = (np.searchsorted(rows, knots, "left") + np.searchsorted(rows, knots, "right")) / 2.0
    scores = norm.ppf(ranks / len(rows))
    slopes = np.diff(scores) / np.diff(knots)
    return (
        knots[None, :-1],
        np.diff(slopes, prepend=slopes[0])[:, None],
        float(scores[0]),
        float(slopes[0]),
    )
