"""Whether a challenger saves money, by evidence that stays valid however often one looks at it.

A gambler with one unit of money bets on each card, before its difference is known, that the
challenger saves money on it. As long as it does not, no way of betting makes money on average, so
the gambler hardly ever has twenty units at any time: in at most 5 % of all cases, by Ville's
inequality. So who looks after each card, and stops when it pays, errs no more often than who looks
once.

Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*, JRSS B 86
(2024); the bets are theirs of section B.3 (aGRAPA) for a mean of 0.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from shroff.arrays import Floats
from shroff.errors import ConfigurationError

FALSE_PROMOTIONS: Final = 0.05
"""The share of challengers no better than the incumbent that are promoted, at most."""
ENOUGH_EVIDENCE: Final = 1 / FALSE_PROMOTIONS
_MAX_BET: Final = 0.8
"""The share of what a card can lose that is staked at most, so that no card ruins the gambler."""
_PRIOR_SPREAD: Final = 0.05
"""The standard deviation assumed before the first card, as a share of the largest difference."""


def weigh_evidence(saved: Floats, largest: float) -> Floats:
    """The gambler's money after each card, float64 [n]: from `ENOUGH_EVIDENCE` on, the challenger
    is better.

    Args:
        saved: what the challenger saved on each card [n], in the order in which cards were known;
            negative where it lost.
        largest: a difference that is larger counts as this one. It must be chosen without the
            cards: then the challenger is judged by the mean of what is counted.

    Raises:
        ConfigurationError: `largest` is no amount above 0.

    >>> weigh_evidence(np.array([10.0, 10.0, -10.0, 10.0]), 50.0).round(2).tolist()
    [1.0, 1.16, 0.97, 1.13]
    """
    if not 0 < largest < math.inf:
        raise ConfigurationError(f"expected a largest difference above 0, got {largest}")
    x = np.clip(saved, -largest, largest) / largest
    before = np.cumsum(x) - x
    squares = np.cumsum(x * x) - x * x
    bets = np.clip(before / (squares + _PRIOR_SPREAD**2), 0, _MAX_BET)
    # beyond what a float holds, enough is enough
    wealth: Floats = np.exp(np.minimum(np.cumsum(np.log1p(bets * x)), 700.0))
    return wealth
