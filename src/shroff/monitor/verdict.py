"""Whether a model in production still sees the payments that it was made for, and does its work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from shroff.arrays import Ints
from shroff.collect.times import DAY_US, iso_time
from shroff.evaluate.reference import PROBABILITY, WEEK, Bins, windows
from shroff.monitor.drift import FALSE_ALARMS, TOLERANCE, ColumnDrift, Counted, Shift, find_drift
from shroff.monitor.early import EarlyFrauds, early_by_month
from shroff.monitor.lane import LaneMonth, lane_by_month
from shroff.monitor.observed import DecidedPayments, reference_of
from shroff.monitor.performance import Month, by_month, mature_until
from shroff.package import Bundle


class Drift(NamedTuple):
    """The drift of every column since a model began to decide, those that moved most first."""

    columns: tuple[ColumnDrift, ...]
    payments: int
    days: int

    @property
    def alarms(self) -> tuple[ColumnDrift, ...]:
        """The columns that have moved by more than is tolerated."""
        return tuple(one for one in self.columns if one.last is not None)


class ModelVerdict(NamedTuple):
    """What monitoring found of a model.

    `others` payments were decided by other models; labels of payments until `mature` have come in.
    `lanes` is what the control lane shows, `early` what is estimated before labels are in.
    """

    model: str
    drift: Drift
    months: tuple[Month, ...]
    others: int
    mature: int
    lanes: tuple[LaneMonth, ...] = ()
    early: tuple[EarlyFrauds, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there is no alarm."""
        return not self.drift.alarms

    @property
    def sentences(self) -> list[str]:
        """The verdict in words."""
        drift = self.drift
        if not drift.payments:
            return [f"{self.model} decided no payment; other models decided {self.others:,}."]
        compared = sum(one.windows > 0 for one in drift.columns)
        first = (
            f"{self.model} decided {drift.payments:,} payments on {drift.days:,} days"
            f" ({self.others:,} more were decided by other models)."
        )
        if not compared:
            return [first, "No whole day has passed since it began: there is nothing to compare."]
        columns = f"{len(drift.columns):,} columns"
        if self.holds:
            return [first, f"No alarm: none of {columns} has moved past all doubt."]
        have = "has" if len(drift.alarms) == 1 else "have"
        found = f"Alarm: {len(drift.alarms):,} of {columns} {have} moved past all doubt."
        return [first, found, *(_told(one.first, one.last) for one in drift.alarms)]

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON."""
        columns = [
            {
                "column": one.column,
                "windows": one.windows,
                "stability_index": one.stability_index,
                "first_alarm": _plain(one.first),
                "last_alarm": _plain(one.last),
            }
            for one in self.drift.columns
        ]
        return {
            "model": self.model,
            "holds": self.holds,
            "verdict": self.sentences,
            "payments": self.drift.payments,
            "decided_by_others": self.others,
            "drift": columns,
            "labels_known_until": iso_time(self.mature, "seconds"),
            "months": [one._asdict() for one in self.months],
            "control_lane": [one.to_dict() for one in self.lanes],
            "before_labels": [one.to_dict() for one in self.early],
        }


def judge(
    bundle: Bundle,
    observed: DecidedPayments,
    *,
    now: int,
    delay_days: float,
    tolerance: float = TOLERANCE,
) -> ModelVerdict:
    """Examine what a model decided until `now`, in microseconds since the epoch.

    Args:
        delay_days: in which labels come in.
        tolerance: the difference of shares, in Cohen's h, up to which there is no alarm.
    """
    until = mature_until(now, delay_days)
    return ModelVerdict(
        f"{bundle.name}, version {bundle.version},",
        examine_drift(bundle, observed, now=now, tolerance=tolerance),
        tuple(by_month(observed.decisions, until=until)),
        observed.others,
        until,
        tuple(lane_by_month(observed.decisions, until=until)),
        tuple(early_by_month(observed.decisions, now=now, until=until, delay_days=delay_days)),
    )


def examine_drift(
    bundle: Bundle,
    observed: DecidedPayments,
    *,
    now: int,
    tolerance: float = TOLERANCE,
    budget: float = FALSE_ALARMS,
) -> Drift:
    """Compare whole days and weeks of decisions with training, up to `now` (µs since the epoch).

    Raises:
        ConfigurationError: the bundle keeps no reference.
    """
    reference = reference_of(bundle)
    table = observed.inputs.with_columns(observed.decisions[PROBABILITY])
    time = observed.decisions["arrived"].to_numpy()
    card = None if observed.decisions["card"].is_null().all() else observed.decisions["card"]
    bins = [one.bins for one in reference.columns]
    counted = count_windows(table, bins, time, card, now)
    found = [
        find_drift(column, windows, columns=len(bins), tolerance=tolerance, budget=budget)
        for column, windows in zip(reference.columns, counted, strict=True)
    ]
    found.sort(key=_moved, reverse=True)
    days = len(np.unique(time // DAY_US))
    return Drift(tuple(found), len(time), days)


def _moved(one: ColumnDrift) -> tuple[float, float]:
    return (one.last.drift if one.last else 0.0, one.stability_index or 0.0)


def _told(first: Shift | None, last: Shift | None) -> str:
    """The last alarm in words, and since when there were alarms."""
    if first is None or last is None:
        return ""
    since = "" if first is last else f"; the first alarm was of {first.since}"
    return f"{last.sentence}{since}."


def _plain(shift: Shift | None) -> dict[str, Any] | None:
    return None if shift is None else {**shift._asdict(), "since": str(shift.since)}


def count_windows(
    table: pl.DataFrame, bins: Sequence[Bins], time: Ints, card: pl.Series | None, now: int
) -> list[list[Counted]]:
    """The histograms of each column in every day and week that is whole and over by `now`.

    Args:
        time: when each payment arrived [n], in microseconds since the epoch; `card` is whose.
    """
    placed = [one.places(table[one.name]) for one in bins]
    found: list[list[Counted]] = [[] for _ in bins]
    # the day and the week in which the model began are not whole
    first = int(time.min()) // DAY_US if len(time) else 0
    for window in windows(time, card):
        days = 7 if window.period == WEEK else 1
        if window.day <= first or (window.day + days) * DAY_US > now:
            continue
        for counted, one, places in zip(found, bins, placed, strict=True):
            rows = window.rows
            counted.append(Counted(window.period, window.day, one.count(places[rows], rows.size)))
    return found
