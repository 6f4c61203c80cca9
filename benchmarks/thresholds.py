"""What decisions cost a day: no detector, rules, p >= 0.5, one pair of thresholds, the cheapest
action.

    python -m benchmarks.thresholds
    SHROFF_BENCH_DATA=handbook.parquet SHROFF_BENCH_ULB=ulb_real.parquet python -m
    benchmarks.thresholds

Boosted trees learn from the training part; thresholds and the price of a review are found on
payments held out of it, with so many reviews a day; all ways are judged on the test part, with a
review at 4, a wrong decline at 15 and a missed fraud at its amount. Whoever decides, a day has no
more reviews than its capacity: those beyond it, in order of time, end as approvals. `hindsight` is
the pair that costs least on the test part itself, which nobody can know. `ratio` is the cost of the
cheapest action over that of the pair, with a 95 % interval: 1,000 replicates resample cards (a
payment without one alone).

The first table has synthetic scores that are calibrated by construction, with log-normal amounts.
The real payments are a sample with one genuine payment in sixteen; costs and prevalence are those
of the sample.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.held_out import COST, Log, logs
from shroff.arrays import Bools, Floats, Ints, Texts
from shroff.detect import BoostedTrees
from shroff.evaluate import (
    DailyCosts,
    HeldOut,
    Thresholds,
    choose_thresholds,
    fit_split,
    parse_split,
)
from shroff.evaluate.cost import realised_costs
from shroff.evaluate.expected import cheapest_actions
from shroff.experiment.folds import choose_folds
from shroff.experiment.training import TrainingJob

RULES = {
    "Simulated payments": "card_count_1d > 3 AND amount > 500 OR card_count_1h > 5",
    "The handbook's payments": "TX_AMOUNT > 220",
    "Real payments of two days": "V14 < -5",
}
WAYS = ("no detector", "rules", "p >= 0.5", "pair", "hindsight", "cheapest")
REPLICATES = 1_000


@dataclass(frozen=True)
class Case:
    """Payments to judge, in order of time, and the held-out ones that decisions are tuned on.

    `days` is the length of both parts in days.
    """

    title: str
    y: Bools
    p: Floats
    amount: Floats
    day: Ints
    card: Ints
    rules: Bools
    days: float
    kept: HeldOut
    daily: DailyCosts
    capacities: tuple[int | None, ...]


def synthetic(seed: int = 0) -> Case:
    """Calibrated scores of payments of log-normal amounts, half of the days to tune on."""
    random = np.random.default_rng(seed)
    n, days = 400_000, 40
    p, amount = random.beta(0.05, 12.0, n), random.lognormal(3.5, 1.2, n)
    y, day = random.random(n) < p, np.sort(random.integers(0, days, n))
    tune, judge = day < days // 2, day >= days // 2
    return Case(
        "Calibrated synthetic scores",
        y[judge],
        p[judge],
        amount[judge],
        day[judge] - days // 2,
        np.arange(judge.sum()),
        np.zeros(judge.sum(), dtype=bool),
        days / 2,
        HeldOut.of(y[tune], p[tune], amount[tune], days=days / 2),
        DailyCosts.of(y[tune], p[tune], amount[tune], day[tune]),
        (5, 30, 200, None),
    )


def trained(log: Log) -> Case:
    """A log on which boosted trees were trained."""
    data = log.data
    split, rows = fit_split(parse_split(log.split), data.time, data.y, data.cards)
    learn, judge = rows.train, rows.test[np.argsort(data.time[rows.test], kind="stable")]
    cards = None if data.cards is None else data.cards[learn]
    folds = choose_folds(split, data.time[learn], data.y[learn], cards)
    one = TrainingJob(data, rows, folds, BoostedTrees(), {}, COST, None, 100, thorough=False).run(
        ""
    )
    p = one.calibration.probability(one.detector.score(one.preparation.matrix(data.table[judge])))
    day = np.unique(data.time[judge].astype("datetime64[D]"), return_inverse=True)[1]
    card = np.full(len(judge), -1) if data.cards is None else data.cards[judge]
    frauds = data.y[judge].sum() / (day.max() + 1)
    few = max(round(frauds / 4), 1)
    return Case(
        log.title,
        data.y[judge],
        p,
        data.amount[judge],
        day,
        np.where(card < 0, card.max() + 1 + np.arange(len(judge)), card),
        data.conditions([RULES[log.title]], {})[judge].to_series().fill_null(0).to_numpy() > 0,
        float(day.max() + 1),
        one.kept,
        one.daily,
        (few, 4 * few, 16 * few, None),
    )


def actions(case: Case, reviews: int | None) -> dict[str, Texts]:
    """What each way does with the payments, with so many reviews a day."""
    pair = case.kept.thresholds(COST, reviews)
    hindsight = choose_thresholds(
        case.y, case.p, case.amount, cost=COST, reviews_per_day=reviews, days=case.days
    )
    price = case.daily.review_price(COST, reviews)
    declined = COST.of_declined(case.amount)
    found = {
        "no detector": np.full(len(case.y), "approve"),
        "rules": np.where(case.rules, "review", "approve"),
        "p >= 0.5": Thresholds(0.5, 0.5, 0.0, 0, 0).actions(case.p),
        "pair": pair.actions(case.p),
        "hindsight": hindsight.actions(case.p),
        "cheapest": cheapest_actions(case.p, case.amount, declined, COST, price),
    }
    return {way: within(action, case.day, reviews) for way, action in found.items()}


def within(action: Texts, day: Ints, reviews: int | None) -> Texts:
    """Actions with at most so many reviews on each day, the first of it."""
    if reviews is None:
        return action
    asked = action == "review"
    before = np.cumsum(asked) - np.maximum.accumulate(
        np.where(np.diff(day, prepend=-1) > 0, np.cumsum(asked) - asked, 0)
    )
    return np.where(asked & (before > reviews), "approve", action)


def compare(case: Case) -> Table:
    """A row for each capacity."""
    table = Table(
        title=f"{case.title}: {len(case.y):,} payments, {case.y.sum():,} frauds, "
        f"{case.days:g} days; cost per day",
        box=box.SIMPLE_HEAD,
    )
    for title in ("reviews/day", *WAYS, "ratio", "95 %"):
        table.add_column(title, justify="right")
    declined = COST.of_declined(case.amount)
    for reviews in case.capacities:
        paid = {
            way: realised_costs(case.y, action, case.amount, declined, COST)
            for way, action in actions(case, reviews).items()
        }
        low, high = interval(paid["cheapest"], paid["pair"], case.card)
        table.add_row(
            "no limit" if reviews is None else f"{reviews:,}",
            *(f"{paid[way].sum() / case.days:,.1f}" for way in WAYS),
            f"{paid['cheapest'].sum() / paid['pair'].sum():.3f}",
            f"{low:.3f}–{high:.3f}",
        )
    return table


def interval(one: Floats, other: Floats, card: Ints) -> tuple[float, float]:
    """The 95 % interval of the ratio of two sums of costs, by bootstrap over cards."""
    cluster = np.unique(card, return_inverse=True)[1]
    sums = np.stack([np.bincount(cluster, costs) for costs in (one, other)])
    random = np.random.default_rng(0)
    ratios = []
    for _ in range(REPLICATES):
        a, b = sums @ random.poisson(1.0, sums.shape[1])
        ratios.append(a / b)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def cases(payments: int) -> Iterator[Case]:
    """Synthetic scores, a simulated log, and the logs that the environment names."""
    yield synthetic()
    for log in logs(payments):
        yield trained(log)


def main() -> None:
    """Print a table per log."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--payments", type=int, default=200_000, help="how many payments to simulate"
    )
    console = Console(width=130)
    for case in cases(parser.parse_args().payments):
        console.print(compare(case))


if __name__ == "__main__":
    main()
