"""Numbers by their rank among the training rows instead of their size."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from shroff.arrays import Floats, Matrix
from shroff.detect.deep.piecewise import Bends, PiecewiseLinear

_KNOT_COUNT = 65


def quantiles(values: Matrix) -> PiecewiseLinear:
    """From a value to the normal score of its rank among training rows [rows, columns].

    Missing values do not count, and equal values share their middle rank. So a flag of 0 scores
    about 0, and one of 1 by its share: 2.3 where 2 % of the rows have it. Beyond the smallest and
    largest value the outer slopes continue.

    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]], dtype=np.float32)
    >>> from shroff.detect.deep.ops import NumpyOps
    >>> quantiles(X).formula(NumpyOps(), X.astype(float)).round(2).ravel().tolist()
    [-1.28, -0.52, 0.0, 0.52, 1.28]
    """
    return PiecewiseLinear(
        [_line(column[~np.isnan(column)].astype(np.float64)) for column in values.T]
    )


def _line(values: Floats) -> Bends:
    rows = np.sort(values)
    widest = norm.ppf(1.0 - 0.5 / max(len(rows), 1)) if len(rows) > 1 else 0.0
    places = norm.cdf(np.linspace(-widest, widest, _KNOT_COUNT))
    knots = np.unique(np.quantile(rows, places, method="nearest")) if len(rows) else np.zeros(1)
    if len(knots) == 1:
        return Bends.through(knots, np.zeros(1))
    ranks = (np.searchsorted(rows, knots, "left") + np.searchsorted(rows, knots, "right")) / 2.0
    return Bends.through(knots, norm.ppf(ranks / len(rows)))
