"""One budget of false alarms for everything that a model's monitoring tests.

It is divided equally among the monitors, and within one among its looks, of which the t-th gets a
part in proportion to 1 / t²: the parts of all looks that there will ever be add up to the whole. So
at most 5 of 100 models ever sound an alarm without a cause, however often one looks and however the
monitors depend on each other (Boole's inequality).
"""

from __future__ import annotations

import math
from typing import Final

FALSE_ALARMS: Final = 0.05
"""The share of monitored models that ever sound an alarm though nothing drifts, at most."""
_PART_OF_FIRST_LOOK: Final = 6 / math.pi**2


def part_of_look(look: int) -> float:
    """The part that the look of this number gets, the first being 1.

    >>> round(sum(part_of_look(look) for look in range(1, 10_000)), 3)
    1.0
    """
    return _PART_OF_FIRST_LOOK / look**2
