"""What a report shows of a run: each detector on the test part, segments, the inputs needed."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Floats, Ints
from shroff.evaluate import average_precision
from shroff.evaluate.judgement import Judgement, evaluate
from shroff.experiment.dataset import Dataset
from shroff.experiment.run import Run
from shroff.experiment.training import Trained

MAX_SEGMENT_COLUMNS: Final = 8
MAX_SEGMENT_VALUES: Final = 6
"""Segments of the most frequent values; the others are not shown."""
_PERMUTED_ROWS: Final = 5_000
_PERMUTATIONS: Final = 3


def evaluations(run: Run) -> dict[str, Judgement]:
    """Evaluate each detector on the test part, at the thresholds that it would be served with."""
    data, rows = run.dataset, run.rows.test
    groups = _groups(data, rows)
    time = data.time[rows]
    days = max(float((time.max() - time.min()) / np.timedelta64(1, "D")), 1.0)
    return {
        one.name: evaluate(
            data.y[rows],
            one.judged,
            amount=None if data.currency is None else data.amount[rows],
            card=None if data.cards is None else data.cards[rows],
            days=days,
            threshold=one.test.threshold,
            thresholds=one.thresholds,
            groups=groups,
        )
        for one in run.trained
    }


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
    found = {}
    for column, name in enumerate(trained.preparation.names):
        falls = []
        for _ in range(_PERMUTATIONS):
            shuffled = X.copy()
            shuffled[:, column] = random.permutation(shuffled[:, column])
            falls.append(before - average_precision(y, trained.detector.score(shuffled)))
        found[name] = round(float(np.mean(falls)), 6)
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
        usual = (
            values.drop_nulls()
            .value_counts(sort=True)
            .sort(["count", name], descending=[True, False])[name]
        )
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
