"""What a report shows of a run: each detector on the test part, segments, the inputs needed."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Bools, Floats, Ints, Texts
from shroff.detect.concurrency import at_once, run_at_once
from shroff.evaluate import Cost, average_precision
from shroff.evaluate.cost import realised_costs
from shroff.evaluate.expected import cheapest_actions
from shroff.evaluate.judgement import Judgement, Outlay, evaluate
from shroff.evaluate.review import Review, expired_share
from shroff.experiment.costs import PaymentCosts
from shroff.experiment.dataset import Dataset
from shroff.experiment.run import Run
from shroff.experiment.training import Trained

MAX_SEGMENT_COLUMNS: Final = 8
MAX_SEGMENT_VALUES: Final = 6
"""Segments of the most frequent values; the others are not shown."""
_PERMUTED_ROWS: Final = 5_000
_PERMUTATIONS: Final = 3
THRESHOLDS: Final = "one pair of thresholds"
BY_COST: Final = "the cheapest action for each payment"


def evaluations(run: Run) -> dict[str, Judgement]:
    """Evaluate each detector on the test part, by the thresholds or costs that would decide."""
    data, rows = run.dataset, run.rows.test
    groups = _groups(data, rows)
    time = data.time[rows]
    days = max(float((time.max() - time.min()) / np.timedelta64(1, "D")), 1.0)
    costs = PaymentCosts.of(run.cost, data, rows)
    found = {}
    for one in run.trained:
        ways = _ways(one, run.cost, costs)
        judgement = evaluate(
            data.y[rows],
            one.judged,
            amount=None if data.currency is None else data.amount[rows],
            card=None if data.cards is None else data.cards[rows],
            days=days,
            threshold=one.test.threshold,
            thresholds=one.thresholds,
            action=ways[THRESHOLDS if one.review_price is None else BY_COST],
            groups=groups,
        )
        tallies = [
            _tally(way, action, data.y[rows], costs, _paid(run, action, costs), days)
            for way, action in ways.items()
        ]
        found[one.name] = msgspec.structs.replace(judgement, decisions=tuple(tallies))
    return found


def _ways(one: Trained, cost: Cost, costs: PaymentCosts) -> dict[str, Texts]:
    """The actions on the test part by each way to decide."""
    cuts = one.thresholds.actions(one.judged)
    ways = {"approve every payment": np.full(len(cuts), "approve"), THRESHOLDS: cuts}
    if one.by_cost is not None:
        stakes, cost = costs.stakes, cost.expiring(one.by_cost.get("expired_reviews"))
        cheapest = cheapest_actions(
            one.judged,
            stakes.missed,
            stakes.declined,
            cost,
            one.by_cost["review_price"] * stakes.load,
            one.declines_from,
            stakes.review,
        )
        ways[BY_COST] = np.where(costs.known, cheapest, cuts)
    return ways


def _paid(run: Run, action: Texts, costs: PaymentCosts) -> Cost:
    """The cost with the share of reviews that these actions on the test part would let expire."""
    one, time = run.cost.review, run.dataset.time.astype("datetime64[D]")
    if run.capacity is None or not isinstance(one, Review) or one.within_days is None:
        return run.cost
    days, day = np.unique(time[run.rows.test], return_inverse=True)
    asked = np.bincount(day, np.where(action == "review", costs.stakes.load, 0.0), len(days))
    # a random test part is a share of each day's payments
    share = len(day) / int(np.isin(time, days).sum())
    work = asked.astype(np.float64)
    return run.cost.expiring(expired_share(work, run.capacity * share, one.within_days))


def _tally(
    way: str, action: Texts, y: Bools, costs: PaymentCosts, cost: Cost, days: float
) -> Outlay:
    stakes = costs.stakes
    paid = realised_costs(y, action, stakes.missed, stakes.declined, cost, stakes.review)
    reviews, challenges, declines = (
        float((action == name).sum()) / days for name in ("review", "challenge", "decline")
    )
    return Outlay(
        way=way,
        reviews=reviews,
        challenges=challenges,
        declines=declines,
        cost=float(paid.sum()) / days,
    )


def importances(run: Run, trained: Trained, *, seed: int = 0) -> dict[str, float]:
    """How much average precision falls when an input's values are shuffled among test payments, the
    largest first.

    Up to 5,000 test payments are scored, frauds first; the mean of three shuffles (Breiman, *Random
    Forests*, 2001). Empty for detectors whose inputs are conditions. Inputs that say the same cover
    for each other.
    """
    if trained.detector.conditions:
        return {}
    random = np.random.default_rng(seed)
    rows = random.permutation(run.rows.test)
    rows = rows[np.argsort(~run.dataset.y[rows], kind="stable")]
    frauds = min(int(run.dataset.y[rows].sum()), _PERMUTED_ROWS // 2)
    genuine = rows[~run.dataset.y[rows]][: _PERMUTED_ROWS - frauds]
    rows = np.append(rows[:frauds], genuine)
    X, y = trained.preparation.matrix(run.dataset.table[rows]), run.dataset.y[rows]
    before = average_precision(y, trained.detector.score(X))
    orders = [[random.permutation(len(X)) for _ in range(_PERMUTATIONS)] for _ in X.T]

    def fall(column: int) -> float:
        falls = []
        for order in orders[column]:
            shuffled = X.copy()
            shuffled[:, column] = X[order, column]
            falls.append(before - average_precision(y, trained.detector.score(shuffled)))
        return round(float(np.mean(falls)), 6)

    jobs = [partial(fall, column) for column in range(X.shape[1])]
    falls = run_at_once(jobs, at_once(trained.detector))
    found = dict(zip(trained.preparation.names, falls, strict=True))
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _groups(data: Dataset, rows: Ints) -> dict[str, pl.Series]:
    """A value for each test payment, by the columns of segments: names, the commonest first; bands
    of the amount, the smallest first; cards that are new.
    """
    schema = data.schema
    hidden = {*schema.personal, schema.id}
    names = [name for name in schema.nominal if name not in hidden and name in data.table.columns][
        :MAX_SEGMENT_COLUMNS
    ]
    groups: dict[str, pl.Series] = {}
    for name in names:
        values = data.table[name][rows].cast(pl.String)
        counts = values.drop_nulls().alias("value").value_counts()
        usual = counts.sort("count", "value", descending=[True, False])["value"]
        groups[name] = values.cast(pl.Enum(usual.head(MAX_SEGMENT_VALUES)), strict=False)
    if data.currency is not None:
        groups[f"{schema.amount} ({data.currency})"] = _amount_bands(data.amount[rows])
    if data.card is not None:
        order = (
            data.table.select(pl.col(schema.time), pl.col(data.card))
            .with_row_index("row")
            .sort(schema.time, "row")
        )
        first = set(order.unique(data.card, keep="first", maintain_order=True)["row"])
        cards = data.table[data.card][rows]
        seen = [
            None if card is None else "new" if row in first else "seen before"
            for row, card in zip(rows.tolist(), cards, strict=True)
        ]
        groups["card"] = pl.Series(seen, dtype=pl.Enum(["new", "seen before"]))
    return groups


def _amount_bands(amount: Floats) -> pl.Series:
    edges = np.unique(np.quantile(amount, [0.25, 0.5, 0.75, 0.95]))
    texts = [f"up to {edges[0]:,.2f}"]
    texts += [f"{low:,.2f} to {high:,.2f}" for low, high in pairwise(edges)]
    texts.append(f"above {edges[-1]:,.2f}")
    # edges that differ by less than what is shown have one text
    bands = pl.Enum(list(dict.fromkeys(texts)))
    places = np.searchsorted(edges, amount, side="left")
    return pl.Series([texts[place] for place in places], dtype=bands)
