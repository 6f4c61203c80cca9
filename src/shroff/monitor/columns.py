"""Drift of every column, of the score and of the mix of decisions since a model began to decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Ints
from shroff.collect.times import DAY_US
from shroff.errors import one_line
from shroff.evaluate.reference import (
    DECISION,
    PERIODS,
    PROBABILITY,
    WEEK,
    Bins,
    Distribution,
    TrainingReference,
    windows,
)
from shroff.monitor.drift import TOLERANCE, ColumnDrift, Counted, Shift, find_drift
from shroff.monitor.finding import Finding
from shroff.monitor.observed import DecidedPayments

_SHOWN_NAMES: Final = 3
_LEAST_CARDS: Final = 10
"""A new name is shown only if so many cards have it: it is then nobody's own."""
_MAX_NAME_CHARACTERS: Final = 40
_WEEK_DAYS: Final = 7


class Drift(NamedTuple):
    """The drift of every column since a model began to decide, those that moved most first.

    `decisions` is that of the mix of decisions, of which `deciding` payments were decided by the
    model's own policy; None where the bundle does not know its mix.
    """

    columns: tuple[ColumnDrift, ...]
    payments: int
    days: int
    decisions: ColumnDrift | None = None
    deciding: int = 0
    new_names: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    @property
    def all(self) -> tuple[ColumnDrift, ...]:
        """The columns and the decisions."""
        return self.columns if self.decisions is None else (*self.columns, self.decisions)

    @property
    def alarms(self) -> tuple[ColumnDrift, ...]:
        """What has moved by more than is tolerated."""
        return tuple(one for one in self.all if one.last is not None)

    def findings(self) -> Iterator[Finding]:
        """An alarm for each column that has moved, and what could not be compared."""
        for one in self.alarms:
            if one.first is not None and one.last is not None:
                yield Finding(
                    _kind(one.last),
                    one.column,
                    "alarm",
                    _told(one.first, one.last, self.new_names.get(one.column, ())),
                    one.first.since,
                )
        if self.decisions is None and self.payments:
            yield Finding(
                "decisions",
                DECISION,
                "info",
                "The mix of decisions is not compared: an earlier release made the bundle.",
            )
        elif self.deciding < self.payments:
            yield Finding(
                "decisions",
                DECISION,
                "info",
                f"{self.payments - self.deciding:,} payments were decided by another policy than "
                "the model's own, or without a score; they are not in the mix of decisions.",
            )


def examine_drift(
    reference: TrainingReference,
    observed: DecidedPayments,
    *,
    now: int,
    budget: float,
    tolerance: float = TOLERANCE,
) -> Drift:
    """Compare whole days and weeks of decisions with training, up to `now` (µs since the epoch).

    Args:
        budget: of false alarms, for each column and for the mix of decisions.
    """
    decided = observed.decisions
    table = observed.inputs.with_columns(decided[PROBABILITY])
    found = _drifts(table, reference.columns, decided, now, budget, tolerance)
    new = {
        one.column: _new_names(table[one.column], decided, column.bins, one.first)
        for one, column in zip(found, reference.columns, strict=True)
        if one.first is not None and one.last is not None and one.last.aspect == "new names"
    }
    own = decided.filter(pl.col("policy").is_null() & pl.col(PROBABILITY).is_not_null())
    decisions: list[ColumnDrift] = []
    if reference.decisions is not None:
        # what the policy decided, whatever a control lane then did
        names = [name for name in ("decided", "action") if name in own.columns]
        actions = own.select(pl.coalesce(names).alias(DECISION))
        decisions = _drifts(actions, [reference.decisions], own, now, budget, tolerance)
    days = decided["arrived"].to_numpy() // DAY_US
    return Drift(
        tuple(sorted(found, key=_moved, reverse=True)),
        len(decided),
        len(np.unique(days)),
        decisions[0] if decisions else None,
        len(own),
        new,
    )


def _drifts(
    table: pl.DataFrame,
    columns: Sequence[Distribution],
    decided: pl.DataFrame,
    now: int,
    budget: float,
    tolerance: float,
) -> list[ColumnDrift]:
    """The drift of each column of a table beside the decisions on the same payments."""
    card = None if decided["card"].is_null().all() else decided["card"]
    time = decided["arrived"].to_numpy()
    counted = count_windows(table, [one.bins for one in columns], time, card, now)
    return [
        find_drift(_comparable(column), windows, tolerance=tolerance, budget=budget)
        for column, windows in zip(columns, counted, strict=True)
    ]


def _comparable(column: Distribution) -> Distribution:
    """A distribution without weeks where it has not each of their days: two days are no week."""
    days = {period: one for period, one in column.usual.items() if period != WEEK}
    return column if len(days) == _WEEK_DAYS else msgspec.structs.replace(column, usual=days)


def partial_weeks(reference: TrainingReference) -> Iterator[Finding]:
    """Says that weeks are not compared, where training has not each of their days."""
    days = [day for day in PERIODS if day != WEEK and day in reference.columns[0].usual]
    if len(days) < _WEEK_DAYS:
        told = (
            f"Weeks are not compared: payments of training, from when windows were full, are of "
            f"{', '.join(days) or 'no day'} alone. Train on more days."
        )
        yield Finding("drift", "weeks", "info", told)


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


def _moved(one: ColumnDrift) -> tuple[float, float]:
    return (one.last.drift if one.last else 0.0, one.stability_index or 0.0)


def _kind(shift: Shift) -> str:
    if shift.aspect != "values":
        return shift.aspect
    return {DECISION: "decisions", PROBABILITY: "score"}.get(shift.column, "drift")


def _told(first: Shift, last: Shift, names: Sequence[str]) -> str:
    """The last alarm in words, which names are new, and since when there were alarms."""
    shown = f" (mostly {', '.join(f'`{name}`' for name in names)})" if names else ""
    since = "" if first is last else f"; the first alarm was of {first.since}"
    return f"{last.sentence}{shown}{since}."


def _new_names(
    column: pl.Series, decided: pl.DataFrame, bins: Bins, first: Shift
) -> tuple[str, ...]:
    """The names that most cards have and training did not count, from the first alarm on."""
    who = pl.coalesce("card", pl.int_range(pl.len()).cast(pl.String))
    table = decided.select(
        pl.from_epoch("arrived", time_unit="us").alias("at"), who.alias("who")
    ).with_columns(column.cast(pl.String).alias("name"))
    found = (
        table.filter(
            (pl.col("at") >= first.since) & ~pl.col("name").is_in(bins.names), pl.col("name") != ""
        )
        .group_by("name")
        .agg(pl.col("who").n_unique().alias("cards"))
        .filter(pl.col("cards") >= _LEAST_CARDS)
        .sort("cards", "name", descending=[True, False])
    )
    names = found["name"][:_SHOWN_NAMES].to_list()
    return tuple(one_line(name)[:_MAX_NAME_CHARACTERS] for name in names)
