"""How often monitoring sounds an alarm without a drift, and how long it takes to find one.

    python -m benchmarks.monitor [--seeds 200]

Each half-year is drawn anew: cards of different habits and activity pay on 60 days, of which the
reference is made, and on 182 days, which are compared with it as `shroff monitor` does. Half of the
columns are numbers and half are names. A planted drift begins on day 90: a share of the payments
turns to values that were rare. Also printed is how many bytes the counts of a month take, which do
not grow with the payments in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from shroff.arrays import Ints
from shroff.collect.times import DAY_US
from shroff.evaluate.reference import BinCounts, TrainingReference
from shroff.monitor.drift import FALSE_ALARMS, TOLERANCE, find_drift
from shroff.monitor.verdict import count_windows

COLUMNS: Final = 8
CATEGORIES: Final = 8
TRAINED_DAYS: Final = 60
DAYS: Final = 182
DRIFT_DAY: Final = 90
HABIT: Final = 2.0
"""How alike the payments of one card are: the lower, the more of them have the same value."""


class HalfYear(NamedTuple):
    """Payments of training and of the half-year after it."""

    time: Ints
    card: pl.Series
    table: pl.DataFrame


def half_year(seed: int, *, cards: int, turned: float = 0.0) -> HalfYear:
    """Payments in order; from the drift's day on, a share `turned` of those in the first column."""
    chance = np.random.default_rng(seed)
    rate = chance.lognormal(-1.2, 0.7, cards)
    made = chance.poisson(rate[:, None], (cards, TRAINED_DAYS + DAYS))
    card, day = (np.repeat(axis, made.ravel()) for axis in np.indices(made.shape).reshape(2, -1))
    time = day * DAY_US + chance.integers(0, DAY_US, len(day))
    order = np.argsort(time, kind="stable")
    card, day, time = card[order], day[order], time[order]
    usual = np.sort(chance.dirichlet(np.full(CATEGORIES, 1.5), COLUMNS))
    columns: list[pl.Series] = []
    for number in range(COLUMNS):
        habits = chance.dirichlet(HABIT * usual[number], cards).cumsum(axis=1)
        place = (chance.random(len(card))[:, None] > habits[card]).sum(axis=1)
        if number == 0 and turned:
            new = (day >= TRAINED_DAYS + DRIFT_DAY) & (chance.random(len(card)) < turned)
            place = np.where(new, 0, place)
        name = f"column_{number}"
        values = pl.Series(name, place.clip(0, CATEGORIES - 1))
        columns.append(values.cast(pl.Float64 if number % 2 else pl.String))
    return HalfYear(time, pl.Series("card", card).cast(pl.String), pl.DataFrame(columns))


def first_alarm(drawn: HalfYear, *, tolerance: float) -> int | None:
    """The day of the half-year after which the first alarm sounds; None without one."""
    learned = drawn.time < TRAINED_DAYS * DAY_US
    rows, rest = np.flatnonzero(learned), np.flatnonzero(~learned)
    reference = TrainingReference.of(drawn.table[rows], drawn.time[rows], drawn.card[rows])
    counted = count_windows(
        drawn.table[rest],
        [one.bins for one in reference.columns],
        drawn.time[rest],
        drawn.card[rest],
        (TRAINED_DAYS + DAYS) * DAY_US,
    )
    found = [
        find_drift(column, windows, columns=COLUMNS, tolerance=tolerance).sounded
        for column, windows in zip(reference.columns, counted, strict=True)
    ]
    days = [day - TRAINED_DAYS for day in found if day is not None]
    return min(days, default=None)


def false_alarms(seeds: Sequence[int], *, cards: int, tolerance: float) -> int:
    """In how many of the half-years without a drift an alarm sounds."""
    return sum(
        first_alarm(half_year(seed, cards=cards), tolerance=tolerance) is not None for seed in seeds
    )


def delays(seeds: Sequence[int], *, cards: int, turned: float) -> list[int | None]:
    """After how many days each planted drift is found; None where it never is."""
    found = [
        first_alarm(half_year(seed, cards=cards, turned=turned), tolerance=TOLERANCE)
        for seed in seeds
    ]
    return [None if day is None else day - DRIFT_DAY for day in found]


def month_bytes(columns: int) -> int:
    """The bytes of JSON that the counts of 30 days and 4 weeks take at 1,000 payments a second."""
    cards = 86_400_000 // 20
    return len(msgspec.json.encode([BinCounts((cards,) * 20, 0, cards * 20)] * (34 * columns)))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = range(parser.parse_args().seeds)
    console = Console(width=110)
    table = Table("cards", "tolerance (Cohen's h)", "half-years", "with an alarm", box=box.SIMPLE)
    for cards in (200, 1_000):
        for tolerance in (0.0, TOLERANCE):
            alarms = false_alarms(seeds, cards=cards, tolerance=tolerance)
            table.add_row(f"{cards:,}", f"{tolerance:g}", f"{len(seeds)}", f"{alarms}")
    table.title = f"Alarms without a drift; at most {FALSE_ALARMS:.0%} are promised"
    console.print(table)
    table = Table("cards", "payments turned", "found", "median days", "90 % by", box=box.SIMPLE)
    table.title = "Days until a planted drift is found"
    for cards in (1_000, 4_000):
        for turned in (0.05, 0.1, 0.2, 0.4):
            some = delays(seeds[:20], cards=cards, turned=turned)
            known = [day for day in some if day is not None]
            middle, most = np.quantile(known, (0.5, 0.9), method="higher") if known else ("-", "-")
            table.add_row(
                f"{cards:,}",
                f"{turned:.0%}",
                f"{len(known)} of {len(some)}",
                f"{middle}",
                f"{most}",
            )
    console.print(table)
    size = month_bytes(30)
    console.print(
        f"A month's counts of 30 columns of 20 bins, at 1,000 payments/s: {size:,} bytes."
    )


if __name__ == "__main__":
    main()
