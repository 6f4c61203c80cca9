"""The distribution of a number over the training rows: enough to say how unusual a value is.

Every share is a bound on the training rows, not an estimate: "higher than 99.6 %" means that at
least that share of them had a lower value.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np

from shroff.arrays import Floats

TAIL_SHARES: Final = (
    0.05,
    0.04,
    0.03,
    0.02,
    *(thousandths / 1000 for thousandths in range(10, 0, -1)),
    0.0005,
    0.0001,
    0.0,
)
"""The tail shares whose quantiles a spread keeps, on either side."""


@dataclass(frozen=True)
class Spread:
    """Quantiles of the training rows' values; `mean` and `median` are over the rows that have a
    value.

    At most `TAIL_SHARES[i]` of them are below `low[i]`, and at most as many above `high[i]`.

    >>> spread = Spread.of(np.array([0.0] * 97 + [1.0, 2.0, 9.0]))
    >>> spread.usual, spread.median
    ((0.0, 0.0), 0.0)
    >>> spread.above(1.0), spread.above(5.0), spread.above(10.0), spread.below(0.0)
    (0.03, 0.01, 0.0, 1.0)
    """

    mean: float
    median: float
    missing: float
    """The share of rows without a value."""
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, values: Floats) -> Self | None:
        """The spread of values [rows], where NaN is missing; None if all are missing."""
        known = values[~np.isnan(values)]
        if not known.size:
            return None
        rising = [1 - tail for tail in TAIL_SHARES]
        return cls(
            mean=float(known.mean()),
            median=float(np.quantile(known, 0.5, method="inverted_cdf")),
            missing=(values.size - known.size) / values.size,
            low=tuple((-np.quantile(-known, rising, method="inverted_cdf") + 0.0).tolist()),
            high=tuple(np.quantile(known, rising, method="inverted_cdf").tolist()),
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The spread that `to_json` wrote; raises KeyError, TypeError for anything else."""
        spread = cls(**data | {"low": tuple(data["low"]), "high": tuple(data["high"])})
        numbers = (spread.mean, spread.median, spread.missing, *spread.low, *spread.high)
        if not (
            len(spread.low) == len(spread.high) == len(TAIL_SHARES)
            and {*map(type, numbers)} <= {int, float}
        ):
            raise TypeError("expected numbers, and two tails of them")
        return spread

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON keeps to the bit."""
        return asdict(self)

    @property
    def usual(self) -> tuple[float, float]:
        """The range in which at least 90 % of the values lie."""
        return self.low[0], self.high[0]

    def above(self, value: float) -> float:
        """The most that the share of values this high or higher can be; 1 within `usual`."""
        beyond = bisect_left(self.high, value)
        return TAIL_SHARES[beyond - 1] if beyond else 1.0

    def below(self, value: float) -> float:
        """The most that the share of values this low or lower can be; 1 within `usual`."""
        beyond = bisect_left(self.low, -value, key=lambda end: -end)
        return TAIL_SHARES[beyond - 1] if beyond else 1.0
