"""Search spaces: the values of a parameter that tuning tries; each detector declares its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shroff.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both included; `log` samples orders of magnitude evenly.

    Only whole numbers when both ends are whole.

    >>> Range(low=1, high=0)
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: expected a range from a lower to a higher number, got 1 to 0
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigurationError(
                f"expected a range from a lower to a higher number, got {self.low:g} to "
                f"{self.high:g}"
            )
        if self.log and self.low <= 0:
            raise ConfigurationError(
                f"expected a logarithmic range to start above 0, got {self.low:g}"
            )

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried.

        >>> Range(low=2, high=8).whole, Range(low=0.5, high=8.0).whole
        (True, False)
        """
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    options: tuple[object, ...]


Space = Mapping[str, Range | Choice]
"""The values to try, by parameter."""
