"""How often monitoring sounds an alarm without a drift, and how long it takes to find one.

    python -m benchmarks.monitor [--seeds 200]

Each half-year is drawn anew: cards of different habits and activity pay on 60 days, of which the
reference is made, and on 182 days, which are compared with it as `shroff monitor` does: eight
columns, of which half are numbers and half are names, the score, the mix of decisions, the arrival
of labels and calibration. Frauds come in bursts of one card, and their labels some days later. What
is planted begins on day 90. Also printed is how many bytes the counts of a month take, which do
not grow with the payments in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from shroff.arrays import Bools, Floats, Ints, Texts
from shroff.collect.times import DAY_US
from shroff.evaluate.cost import ACTIONS
from shroff.evaluate.reference import PROBABILITY, BinCounts, TrainingReference
from shroff.monitor.budget import FALSE_ALARMS
from shroff.monitor.drift import TOLERANCE
from shroff.monitor.observed import DECIDED, DecidedPayments
from shroff.monitor.verdict import examine_all

COLUMNS: Final = 8
CATEGORIES: Final = 8
TRAINED_DAYS: Final = 60
DAYS: Final = 182
DRIFT_DAY: Final = 90
DELAY_DAYS: Final = 28
LABEL_DAYS: Final = 5.0
"""The mean delay of a label."""
NOW: Final = (TRAINED_DAYS + DAYS) * DAY_US
DRIFT_AT: Final = (TRAINED_DAYS + DRIFT_DAY) * DAY_US
HABIT: Final = 2.0
"""How alike the payments of one card are: the lower, the more of them have the same value."""


class Planted(NamedTuple):
    """What changes on the drift's day.

    Attributes:
        turned: the share of payments that turn to a rare value in the first column.
        declined: the share of approved payments that are declined.
        silent: whether labels stop.
        frauds: how many times as many frauds come.
    """

    turned: float = 0.0
    declined: float = 0.0
    silent: bool = False
    frauds: float = 1.0


NOTHING: Final = Planted()
PLANTED: Final = {
    "5 % of payments turn": Planted(turned=0.05),
    "10 % of payments turn": Planted(turned=0.1),
    "20 % of payments turn": Planted(turned=0.2),
    "40 % of payments turn": Planted(turned=0.4),
    "3 % more are declined": Planted(declined=0.03),
    "labels stop": Planted(silent=True),
    "3 times as many frauds": Planted(frauds=3.0),
}


class HalfYear(NamedTuple):
    """Payments of training, and what a model decided in the half-year after it."""

    reference: TrainingReference
    observed: DecidedPayments


def half_year(seed: int, *, cards: int, planted: Planted = NOTHING) -> HalfYear:
    """Draw payments of training, decisions and labels, with what is planted from its day on."""
    chance = np.random.default_rng(seed)
    rate = chance.lognormal(-1.2, 0.7, cards)
    made = chance.poisson(rate[:, None], (cards, TRAINED_DAYS + DAYS))
    card, day = (np.repeat(axis, made.ravel()) for axis in np.indices(made.shape).reshape(2, -1))
    time = day * DAY_US + chance.integers(0, DAY_US, len(day))
    order = np.argsort(time, kind="stable")
    card, day, time = card[order], day[order], time[order]
    later = day >= TRAINED_DAYS + DRIFT_DAY
    names = pl.Series("card", card).cast(pl.String)
    table = _inputs(chance, card, later, cards, planted)
    probability, fraud = _frauds(chance, card, day, cards, planted)
    action = _actions(probability)
    action[later & (chance.random(len(card)) < planted.declined)] = "decline"
    learned = day < TRAINED_DAYS
    rows, rest = np.flatnonzero(learned), np.flatnonzero(~learned)
    known = table.with_columns(pl.Series(PROBABILITY, probability))
    reference = TrainingReference.of(known[rows], time[rows], names[rows]).deciding(
        pl.Series(action[rows]), time[rows], names[rows], ACTIONS
    )
    came = time + (chance.exponential(LABEL_DAYS, len(card)).clip(0, DELAY_DAYS) * DAY_US)
    seen = fraud & (came < NOW) & ~(planted.silent & (came >= DRIFT_AT))
    decisions = pl.DataFrame(
        {
            "arrived": time,
            "card": names,
            "amount": 10.0,
            "action": action,
            PROBABILITY: probability,
            "fraud": seen,
            "labelled": came.astype(np.int64),
            "policy": None,
        },
        schema=DECIDED,
    )
    unknown = pl.when("fraud").then(pl.col("fraud", "labelled"))
    decisions = decisions.with_columns(unknown)[rest]
    labels = decisions.with_row_index("row").drop_nulls("labelled")
    return HalfYear(
        reference,
        DecidedPayments(
            decisions,
            table[rest],
            0,
            labels.select(
                pl.col("row").cast(pl.Int64), pl.lit("bank").alias("source"), at="labelled"
            ),
        ),
    )


def _inputs(
    chance: np.random.Generator, card: Ints, later: Bools, cards: int, planted: Planted
) -> pl.DataFrame:
    """Eight columns, in which each card has habits of its own."""
    usual = np.sort(chance.dirichlet(np.full(CATEGORIES, 1.5), COLUMNS))
    columns: list[pl.Series] = []
    for number in range(COLUMNS):
        habits = chance.dirichlet(HABIT * usual[number], cards).cumsum(axis=1)
        place = (chance.random(len(card))[:, None] > habits[card]).sum(axis=1)
        if number == 0 and planted.turned:
            place = np.where(later & (chance.random(len(card)) < planted.turned), 0, place)
        values = pl.Series(f"column_{number}", place.clip(0, CATEGORIES - 1))
        columns.append(values.cast(pl.Float64 if number % 2 else pl.String))
    return pl.DataFrame(columns)


def _frauds(
    chance: np.random.Generator, card: Ints, day: Ints, cards: int, planted: Planted
) -> tuple[Floats, Bools]:
    """Probabilities that are right, and frauds that come in bursts: a card is stolen for a week,
    in which every other payment is a fraud.
    """
    weeks = (TRAINED_DAYS + DAYS) // 7 + 1
    risk = chance.lognormal(-5, 1, (cards, weeks)).clip(0, 0.4)
    more = np.where(np.arange(weeks) * 7 >= TRAINED_DAYS + DRIFT_DAY, planted.frauds, 1.0)
    stolen = chance.random((cards, weeks)) < risk * more
    week = day // 7
    return risk[card, week] / 2, stolen[card, week] & (chance.random(len(card)) < 0.5)


def _actions(probability: Floats) -> Texts:
    return np.select([probability > 0.05, probability > 0.02], ["decline", "review"], "approve")


def first_alarm(drawn: HalfYear, *, tolerance: float) -> int | None:
    """The day of the half-year after which the first alarm sounds; None without one."""
    found = examine_all(
        drawn.reference, drawn.observed, now=NOW, delay_days=DELAY_DAYS, tolerance=tolerance
    )
    days = [one.sounded for one in found.drift.all if one.sounded is not None]
    for source in found.sources:
        days += [one.sounded + d for d, one in source.moved if one.sounded is not None]
    for month in found.calibrated:
        if month.off:
            days.append((month.month - date(1970, 1, 1)).days + 31 + DELAY_DAYS)
    return min((day - TRAINED_DAYS for day in days), default=None)


def false_alarms(seeds: Sequence[int], *, cards: int) -> dict[float, int]:
    """In how many of the half-years without a drift an alarm sounds, by what is tolerated."""
    found = dict.fromkeys((0.0, TOLERANCE), 0)
    for seed in seeds:
        drawn = half_year(seed, cards=cards)
        for tolerance in found:
            found[tolerance] += first_alarm(drawn, tolerance=tolerance) is not None
    return found


def delays(seeds: Sequence[int], *, cards: int, planted: Planted) -> list[int | None]:
    """After how many days each planted drift is found; None where it never is."""
    found = [
        first_alarm(half_year(seed, cards=cards, planted=planted), tolerance=TOLERANCE)
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
        for tolerance, alarms in false_alarms(seeds, cards=cards).items():
            table.add_row(f"{cards:,}", f"{tolerance:g}", f"{len(seeds)}", f"{alarms}")
    table.title = f"Alarms without a drift; at most {FALSE_ALARMS:.0%} are promised"
    console.print(table)
    table = Table("cards", "planted", "found", "median days", "90 % by", box=box.SIMPLE)
    table.title = "Days until what was planted is found"
    for cards in (1_000, 4_000):
        for name, planted in PLANTED.items():
            some = delays(seeds[:10], cards=cards, planted=planted)
            known = [day for day in some if day is not None]
            middle, most = np.quantile(known, (0.5, 0.9), method="higher") if known else ("-", "-")
            found = f"{len(known)} of {len(some)}"
            table.add_row(f"{cards:,}", name, found, f"{middle}", f"{most}")
    console.print(table)
    size = month_bytes(30)
    console.print(
        f"A month's counts of 30 columns of 20 bins, at 1,000 payments/s: {size:,} bytes."
    )


if __name__ == "__main__":
    main()
