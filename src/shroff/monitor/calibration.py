"""Whether as many frauds come as the probabilities say, tested month by month.

Of payments that were approved or reviewed, the sum of the probabilities is compared with the frauds
that came, by the exact interval of a Poisson number (Garwood, *Fiducial Limits for the Poisson
Distribution*, Biometrika 28, 1936). Frauds come in bursts of one card: a number of them tells as
much as that number over the design effect, which is the variance of the sums by card over that of
single payments. Of few frauds nobody sees bursts: so the effect is 2 at least, and a month is
tested only where 20 frauds or more are expected. There is an alarm only where the interval leaves
no ratio within the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from shroff.arrays import Bools, Floats
from shroff.evaluate.cost import UNSEEN
from shroff.evaluate.reference import PROBABILITY
from shroff.monitor.budget import part_of_look
from shroff.monitor.finding import Finding

TOLERATED_RATIO: Final = 1.25
"""Up to so many times as many frauds as expected, or as few, there is no alarm."""
_LEAST_EXPECTED: Final = 20.0
_LEAST_EFFECT: Final = 2.0


class MonthlyCalibration(NamedTuple):
    """Expected frauds of a month, those that came, and the interval of their mean."""

    month: date
    expected: float
    came: int
    low: float
    high: float

    @property
    def off(self) -> bool:
        """Whether more or fewer came than is tolerated, past all doubt."""
        return (
            self.low > self.expected * TOLERATED_RATIO
            or self.high < self.expected / TOLERATED_RATIO
        )


def calibration(decisions: pl.DataFrame, *, until: int, budget: float) -> list[MonthlyCalibration]:
    """The calibration of each calendar month (UTC) that is over by `until` (µs since the epoch), up
    to which labels have come, and in which enough frauds are expected.

    Args:
        decisions: see `observed.DECIDED`.
        budget: of false alarms, for all months together.
    """
    at = pl.from_epoch("arrived", time_unit="us")
    mature = decisions.filter(
        at.dt.offset_by("1mo").dt.truncate("1mo") <= pl.from_epoch(pl.lit(until), time_unit="us"),
        ~pl.col("action").is_in(UNSEEN),
        pl.col(PROBABILITY).is_not_null(),
    ).with_columns(at.dt.truncate("1mo").dt.date().alias("month"))
    months = [
        part
        for part in mature.partition_by("month", maintain_order=True)
        if part[PROBABILITY].sum() >= _LEAST_EXPECTED
    ]
    return [_month(part, budget * part_of_look(number)) for number, part in enumerate(months, 1)]


def findings(months: list[MonthlyCalibration]) -> Iterator[Finding]:
    """One alarm for the last month that was off, since the first that was."""
    off = [one for one in months if one.off]
    if off:
        last = off[-1]
        yield Finding(
            "calibration",
            PROBABILITY,
            "alarm",
            f"In {last.month:%Y-%m}, {last.came:,} frauds came among payments that were approved "
            f"or reviewed (their mean is between {last.low:,.0f} and {last.high:,.0f}), and the "
            f"probabilities said {last.expected:,.0f}: they are no longer calibrated.",
            off[0].month,
        )


def _month(part: pl.DataFrame, error: float) -> MonthlyCalibration:
    p = part[PROBABILITY].to_numpy()
    fraud: Bools = part["fraud"].fill_null(value=False).to_numpy()
    came = int(fraud.sum())
    low, high = _interval(came, _design_effect(fraud - p, p, part["card"]), error)
    return MonthlyCalibration(part["month"][0], float(p.sum()), came, low, high)


def _design_effect(residual: Floats, p: Floats, card: pl.Series) -> float:
    """How many times larger cards make the variance of the number of frauds; 2 at least."""
    alone = float((p * (1 - p)).sum())
    table = pl.DataFrame({"card": card, "residual": residual})
    known = table.drop_nulls("card").group_by("card").agg(pl.col("residual").sum())
    single = table.filter(pl.col("card").is_null())
    sums = np.append(known["residual"].to_numpy(), single["residual"].to_numpy())
    return max(float((sums**2).sum()) / alone, _LEAST_EFFECT) if alone else _LEAST_EFFECT


def _interval(came: int, effect: float, error: float) -> tuple[float, float]:
    """
    >>> low, high = _interval(10, 1.0, 0.05)
    >>> round(low, 2), round(high, 2)
    (4.8, 18.39)
    """
    from scipy.special import gammaincinv  # slow to import

    worth = came / effect
    low = float(gammaincinv(worth, error / 2)) if came else 0.0
    return effect * low, effect * float(gammaincinv(worth + 1, 1 - error / 2))
