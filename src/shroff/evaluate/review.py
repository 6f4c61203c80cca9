"""A review by a person: its minutes, and what is done where nobody gets to it in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from shroff.arrays import Floats
from shroff.errors import ConfigurationError
from shroff.evaluate.challenge import require_cost

_MINUTES_PER_HOUR: Final = 60.0
Number = TypeVar("Number", float, Floats)


@dataclass(frozen=True, slots=True)
class Review:
    """What a review takes, and what is done about a payment that nobody reviews in time.

    Reviews wait in the order in which they came. Those that have to wait longer than `within_days`
    expire: `expired` is then the action on the payment. How many do depends on the capacity, so
    that `expiry` is found in training, on the days of the held-out payments.

    Args:
        minutes: that one takes: a number, or a SQL expression as in `Cost`.
        per_hour: what an hour of a reviewer costs, in major units of the project's currency.
        within_days: the days after that of the payment within which it is reviewed or expires; 0:
            on the same day. By default it waits as long as it takes.
        expired: the action on a payment whose review has expired: `approve` or `decline`.
        expiry: the share of reviews that expire, from 0 to below 1; by default found in training.

    Raises:
        ConfigurationError: minutes or an hour's cost that are negative, infinite or no number,
            days that are no whole number of 0 or more, another action, another share; a share
            without days.

    >>> Review(minutes=6.0, per_hour=45.0).cost(6.0)
    4.5
    >>> Review(minutes=6.0, per_hour=45.0, within_days=1, expired="review")
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: Review(expired=…): expected "approve" or "decline".
    """

    minutes: float | str
    per_hour: float
    within_days: int | None = None
    expired: Literal["approve", "decline"] = "approve"
    expiry: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.minutes, str) or not self.minutes.strip():
            require_cost("minutes", self.minutes, allowed=" or as a SQL expression")
        require_cost("per_hour", self.per_hour)
        days = self.within_days
        if days is not None and (not isinstance(days, int) or days < 0):
            raise ConfigurationError("Review(within_days=…): expected 0 or more whole days.")
        if self.expired not in ("approve", "decline"):
            raise ConfigurationError('Review(expired=…): expected "approve" or "decline".')
        if self.expiry is None:
            return
        if not isinstance(self.expiry, int | float) or not 0 <= self.expiry < 1:
            raise ConfigurationError("Review(expiry=…): expected a share from 0 to below 1.")
        if days is None:
            raise ConfigurationError(
                "Review(expiry=…): reviews expire where `within_days` says when: give both."
            )

    def cost(self, minutes: Number) -> Number:
        """What reviews of so many minutes cost each."""
        return minutes * (self.per_hour / _MINUTES_PER_HOUR)


def expired_share(work: Floats, capacity: float, within_days: int) -> float:
    """The share of reviews that expire where people do so much of them on each day, the first to
    come first.

    Args:
        work: that comes on each day [days], in the unit of `capacity`: minutes, or reviews.
        within_days: a review is done on the day of its payment or so many days later.

    >>> import numpy as np
    >>> expired_share(np.array([30.0, 0.0]), 10.0, 1)
    0.3333333333333333
    """
    waiting = expired = 0.0
    for came in work:
        waiting = max(waiting + float(came) - capacity, 0.0)
        late = max(waiting - capacity * within_days, 0.0)
        waiting, expired = waiting - late, expired + late
    total = float(work.sum())
    return expired / total if total else 0.0
