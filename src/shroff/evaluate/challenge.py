"""The cost of a challenge: the customer proves who they are before payment, as in 3-D Secure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shroff.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Challenge:
    """What becomes of payments whose customers must prove who they are (3-D Secure).

    Args:
        passed: the share of frauds that pass it all the same.
        abandoned: the share of genuine payments that are given up; each costs as a declined one.
        liable: the share of the loss that stays here where a fraud passed; 0 where the issuer
            takes all of it over (liability shift).
        cost: of one challenge, in major units of the project's currency.

    Raises:
        ConfigurationError: a share outside 0 to 1, a cost that is negative, infinite or no number.

    >>> Challenge(passed=0.1, abandoned=0.05).cost
    0.0
    >>> Challenge(passed=10, abandoned=0.05)
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: Challenge(passed=…): expected a share from 0 to 1, got 10
    """

    passed: float
    abandoned: float
    liable: float = 1.0
    cost: float = 0.0

    def __post_init__(self) -> None:
        for name in ("passed", "abandoned", "liable"):
            require_share(f"Challenge({name}=…)", getattr(self, name))
        require_cost("cost", self.cost)


def require_share(what: str, value: object) -> None:
    """Raise `ConfigurationError` unless a value is a share from 0 to 1."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        came = "a text" if isinstance(value, str) else value
        raise ConfigurationError(f"{what}: expected a share from 0 to 1, got {came}")


def require_cost(name: str, value: object, *, allowed: str = "") -> None:
    """Raise `ConfigurationError` unless a value is a cost; `allowed` says what else it may be."""
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        came = "a text" if isinstance(value, str) else value
        raise ConfigurationError(f"expected `{name}` as a cost of 0 or more{allowed}, got {came}")
