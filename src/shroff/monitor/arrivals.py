"""Whether labels still arrive as fast as they did, source by source.

A source that falls silent, or slower, makes figures on matured labels too good: frauds whose label
is late count as genuine. So for each source the share of cards with its label within a number of
days after their payment is compared, week by week, with that of its first weeks, after its first
label: by the same test, and within the same budget of false alarms, as a column of payments. The
n-th source to appear gets a part in proportion to 1 / n².
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Floats
from shroff.collect.times import DAY_US
from shroff.evaluate.reference import WEEK, Bins, Distribution
from shroff.monitor.budget import part_of_look
from shroff.monitor.columns import count_windows
from shroff.monitor.drift import TOLERANCE, ColumnDrift, Shift, find_drift
from shroff.monitor.finding import Finding
from shroff.monitor.observed import DecidedPayments

_USUAL_WEEKS: Final = 4
"""A source's first whole weeks, which its later ones are compared with."""
_NEVER: Final = np.iinfo(np.int64).max


class SourceArrival(NamedTuple):
    """How fast the labels of a source come.

    Attributes:
        labelled: payments with its label.
        median_days, most_days: after which a half and nine in ten of the labels had come, of
            payments old enough to have one; None without such labels.
        moved: the share of cards with a label within `days` days of their payment, against the
            source's first weeks, one for each number of days.
    """

    source: str
    labelled: int
    median_days: float | None
    most_days: float | None
    moved: tuple[tuple[int, ColumnDrift], ...]

    def findings(self) -> Iterator[Finding]:
        """How fast labels come, and an alarm where fewer come in time than used to."""
        if self.median_days is not None:
            yield Finding(
                "maturity",
                self.source,
                "info",
                f"Half of the labels of `{self.source}` came within {self.median_days:.0f} days "
                f"of the payment, nine in ten within {self.most_days:.0f}.",
            )
        for days, one in self.moved:
            if one.first is not None and one.last is not None:
                fewer = one.last.now.share < one.last.training.share
                yield Finding(
                    "labels",
                    f"{self.source}, {days} days",
                    "alarm" if fewer else "warning",
                    _told(self.source, days, one.last),
                    one.first.since,
                )


def label_arrival(
    observed: DecidedPayments,
    *,
    now: int,
    delay_days: float,
    budget: float,
    tolerance: float = TOLERANCE,
) -> list[SourceArrival]:
    """How fast each source's labels come until `now` (µs since the epoch), in the order in which
    sources appeared.

    Args:
        delay_days: in which labels come in; a quarter of it is looked at too.
        budget: of false alarms, for all sources together.
    """
    labels = observed.labels.sort("at", maintain_order=True)
    horizons = sorted({max(math.ceil(delay_days / 4), 1), max(math.ceil(delay_days), 1)})
    found = []
    for number, source in enumerate(labels["source"].unique(maintain_order=True), 1):
        part = budget * part_of_look(number) / len(horizons)
        own = labels.filter(pl.col("source") == source)
        moved = []
        for days in horizons:
            one = _compare(observed.decisions, own, days, now, part, tolerance)
            if one is not None:
                moved.append((days, one))
        old = now - int(delay_days * DAY_US)
        middle, most = _quantiles(observed.decisions, own, old)
        found.append(SourceArrival(source, len(own), middle, most, tuple(moved)))
    return found


def _compare(
    decisions: pl.DataFrame,
    labels: pl.DataFrame,
    days: int,
    now: int,
    budget: float,
    tolerance: float,
) -> ColumnDrift | None:
    """The share of cards with a label within some days, in weeks that are old enough; None before
    there is one to compare.
    """
    time = decisions["arrived"].to_numpy()
    at = np.full(len(time), _NEVER)
    at[labels["row"].to_numpy()] = labels["at"].to_numpy()
    late = pl.Series("late", at - time > days * DAY_US).cast(pl.Float64)
    card = None if decisions["card"].is_null().all() else decisions["card"]
    bins = Bins(name="late", edges=(0.0,))  # at most 0: in time
    (counted,) = count_windows(late.to_frame(), [bins], time, card, now - days * DAY_US)
    # of payments from before a source began, some have its label late and others never
    begun = int(labels["at"].min())  # type: ignore[arg-type]  # it is a whole number
    weeks = [one for one in counted if one.period == WEEK and one.day * DAY_US >= begun]
    if len(weeks) <= _USUAL_WEEKS:
        return None
    usual = reduce(add, (one.histogram for one in weeks[:_USUAL_WEEKS]))
    if card is not None:  # a card may be in each of these weeks, and counts as one
        usual = msgspec.structs.replace(usual, weight=usual.weight * _USUAL_WEEKS)
    column = Distribution(bins, {WEEK: usual})
    return find_drift(column, weeks[_USUAL_WEEKS:], budget=budget, tolerance=tolerance)


def _quantiles(
    decisions: pl.DataFrame, labels: pl.DataFrame, old: int
) -> tuple[float | None, float | None]:
    """The days after which a half and nine in ten of the labels of old payments came."""
    paid = decisions["arrived"].to_numpy()[labels["row"].to_numpy()]
    waited: Floats = (labels["at"].to_numpy() - paid)[paid <= old] / DAY_US
    if not waited.size:
        return None, None
    middle, most = np.quantile(waited, (0.5, 0.9), method="higher").tolist()
    return middle, most


def _told(source: str, days: int, last: Shift) -> str:
    return (
        f"`{source}` had labelled {100 * last.now.share:.2f} % of the cards of the week from "
        f"{last.since} within {days} {'day' if days == 1 else 'days'}, and "
        f"{100 * last.training.share:.2f} % of those of its first {_USUAL_WEEKS} weeks."
    )
