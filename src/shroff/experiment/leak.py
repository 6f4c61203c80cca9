"""Leaks: inputs with knowledge that did not exist when the payment arrived."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from shroff.arrays import Bools, Floats, Ints
from shroff.collect import Schema
from shroff.collect.labels import HISTORY, known_by
from shroff.detect.checks import Finding
from shroff.experiment.dataset import Dataset
from shroff.expression import Expression
from shroff.features.plan import Plan

CHECKS = ("future_leak", "label_leak")
"""The names of these checks."""

Compute = Callable[[pl.DataFrame], pl.DataFrame]
"""From a clean table to a table of features, a row per payment in the same order."""

_MAX_RECOMPUTED_PAYMENTS = 200_000
"""Features of at most this many payments are recomputed."""
_CUT_SHARES = (0.5, 0.9)
"""Shares of the table at which it is cut off."""
_PERFECT_AUC = 0.995
"""ROC AUC that a single honest column never reaches."""
_MIN_FRAUDS = 20
"""With fewer frauds, a perfect column may be chance."""
_JUDGED_ROWS = 50_000
_KNOWN_WITH_LABEL_SHARE = 0.99
"""Share of payments in which a column is present exactly where the label is."""


def check_future(frame: pl.DataFrame, schema: Schema, compute: Compute) -> list[Finding]:
    """Whether a feature of a clean table (sorted by arrival) changes when later rows are deleted.

    Features of the first 200,000 payments are computed on the whole table and on two cuts of it,
    without the results and labels that had not arrived at the cut: three computations in all.
    """
    frame = frame.head(_MAX_RECOMPUTED_PAYMENTS)
    whole = compute(frame)
    for share in _CUT_SHARES:
        rows = max(1, int(len(frame) * share))
        cut = compute(_keep_known(frame.head(rows), schema))
        changed = [
            name
            for name in cut.columns
            if not cut[name].equals(whole[name].head(rows), null_equal=True)
        ]
        if changed:
            return [
                Finding(
                    "future_leak",
                    "expected features to stay as they are when later payments are deleted, got "
                    f"another `{changed[0]}`"
                    + (f" and {len(changed) - 1} more" if changed[1:] else "")
                    + ": compute it from "
                    "events that had arrived before each payment",
                )
            ]
    return []


def _keep_known(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """A table without the results and labels that arrived after its last payment."""
    now = frame[schema.arrived_at or schema.time].max()
    later = ((schema.result, schema.result_at), (schema.label, schema.labelled_at))
    known = [
        (value, at)
        for value, at in later
        if value is not None and at is not None and at in frame.columns
    ]
    if HISTORY in frame.columns:
        frame = known_by(frame, int(pl.select(pl.lit(now).dt.epoch("us")).item()))
    return frame.with_columns(
        pl.when(pl.col(at) <= now).then(pl.col(name)).otherwise(None).alias(name)
        for value, at in known
        for name in (value, at)
    )


def looked_up(plan: Plan) -> frozenset[str]:
    """The inputs that follow from reference tables, with the amount at most: what a label brings is
    not in them, unless a table was made of the labels.
    """
    found = set(plan.schema.looked_up)
    for row in plan.rows:
        read = row.source.columns if isinstance(row.source, Expression) else frozenset()
        if read & found and read <= {*found, plan.schema.amount}:
            found.add(row.name)
    return frozenset(found)


def check_columns(
    data: Dataset, frame: pl.DataFrame, learned: Ints, *, looked_up: Collection[str] = ()
) -> list[Finding]:
    """Whether a single input predicts the label almost perfectly, or is present only where the
    label is.

    Args:
        frame: the clean table, payments without a label included.
        learned: the training rows of `data`.
        looked_up: inputs that are known in advance, of which a perfect one is only a warning.
    """
    found = [
        _find_perfect(data, learned, name, in_advance=name in looked_up)
        for name in (*data.numeric, *data.nominal)
    ]
    ready = [name for name in (*data.numeric, *data.nominal) if name in frame.columns]
    found += _find_known_with_label(frame, str(data.schema.label), ready)
    return [finding for finding in found if finding]


def _find_perfect(data: Dataset, learned: Ints, name: str, *, in_advance: bool) -> Finding | None:
    rows = learned[:: max(1, len(learned) // _JUDGED_ROWS)]
    fraud = data.y[learned]
    if len(rows) < len(learned):
        rows = np.union1d(rows, learned[fraud])
    column, fraud = data.table[name][rows], data.y[rows]
    if fraud.sum() < _MIN_FRAUDS:
        return None
    area = max(
        _measure_area(fraud, reading)
        for reading in _read_column(column, fraud, name in data.numeric)
    )
    if area < _PERFECT_AUC:
        return None
    advice = (
        "it is looked up in a reference table, so see that the table was not made of these labels"
        if in_advance
        else "it follows from the label, so leave it out of the inputs"
    )
    return Finding(
        "label_leak",
        f"expected no input to predict fraud by itself, got a ROC AUC of {area:.3f} from `{name}` "
        f"alone: {advice}",
        "warning" if in_advance else "failure",
    )


def _read_column(column: pl.Series, fraud: Bools, numeric: bool) -> list[Floats]:
    """A column as scores: its value and its presence; for a name, its fraud share elsewhere."""
    there = column.is_not_null().to_numpy().astype(np.float64)
    if numeric:
        values = column.cast(pl.Float64).to_numpy()
        return [
            there,
            np.where(np.isnan(values), np.nanmean(values) if there.any() else 0.0, values),
        ]
    codes = column.fill_null("").rank("dense").to_numpy().astype(np.int64)
    return [there, _share_elsewhere(codes, fraud)]


def _share_elsewhere(codes: Ints, fraud: Bools) -> Floats:
    """The share of fraud that each row's name has in the other half of the rows."""
    halves, share = np.arange(len(codes)) % 2, float(fraud.mean())
    reading = np.empty(len(codes))
    for half in (0, 1):
        other = halves != half
        counts = np.bincount(codes[other], minlength=codes.max() + 1)
        frauds = np.bincount(codes[other], weights=fraud[other], minlength=codes.max() + 1)
        reading[~other] = ((frauds + share) / (counts + 1.0))[codes[~other]]
    return reading


def _measure_area(fraud: Bools, reading: Floats) -> float:
    area = float(roc_auc_score(fraud, reading))
    return max(area, 1.0 - area)


def _find_known_with_label(frame: pl.DataFrame, label: str, names: Sequence[str]) -> list[Finding]:
    unlabelled = frame[label].is_null().to_numpy()
    if unlabelled.sum() < _MIN_FRAUDS or unlabelled.all():
        return []
    found = []
    for name in names:
        present = frame[name].is_not_null().to_numpy()
        with_label, without = present[~unlabelled].mean(), present[unlabelled].mean()
        if with_label >= _KNOWN_WITH_LABEL_SHARE and without <= 1.0 - _KNOWN_WITH_LABEL_SHARE:
            sentence = (
                f"expected `{name}` to be known when a payment arrives, got it only for payments "
                "with a label: it arrives with the label, so leave it out of the inputs"
            )
            found.append(Finding("label_leak", sentence))
    return found
