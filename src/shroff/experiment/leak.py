"""Leaks: inputs that know what nobody knew when the payment came in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from shroff.collect import Schema
from shroff.collect.labels import HISTORY, known_by
from shroff.detect.arrays import Bools, Floats, Ints
from shroff.detect.checks import Finding
from shroff.experiment.dataset import Dataset

CHECKS = ("future_leak", "label_leak")
"""What is checked here."""

Compute = Callable[[pl.DataFrame], pl.DataFrame]
"""From a clean table to a table of features, a row per payment in the same order."""

_MOST = 200_000
"""Payments that features are computed again for, at most."""
_CUTS = (0.5, 0.9)
"""Where the table is cut off, as shares of it."""
_PERFECT = 0.995
"""ROC AUC that no honest column reaches by itself."""
_FEW = 20
"""Frauds below which a perfect column may be chance."""
_JUDGED = 50_000
_BESIDE = 0.99
"""Share of payments for which a column is known exactly when the label is."""


def check_future(frame: pl.DataFrame, schema: Schema, compute: Compute) -> list[Finding]:
    """Whether a feature of a clean table (sorted by arrival) changes when everything that came later is deleted.

    The first 200,000 payments are computed once whole and once for each of two cuts; results and labels that had not
    arrived at a cut are deleted with the payments after it. Costs at most three times the features of these payments.
    """
    frame = frame.head(_MOST)
    whole = compute(frame)
    for share in _CUTS:
        rows = max(1, int(len(frame) * share))
        cut = compute(_as_known(frame.head(rows), schema))
        changed = [name for name in cut.columns if not cut[name].equals(whole[name].head(rows), null_equal=True)]
        if changed:
            return [
                Finding(
                    "future_leak",
                    f"expected features to stay as they are when later payments are deleted, got another "
                    f"`{changed[0]}`" + (f" and {len(changed) - 1} more" if changed[1:] else "") + ": compute it from "
                    "what had arrived before each payment",
                )
            ]
    return []


def _as_known(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """A table without the results and labels that arrived after its last payment."""
    now = frame[schema.arrived_at or schema.time].max()
    later = ((schema.result, schema.result_at), (schema.label, schema.labelled_at))
    told = [(value, at) for value, at in later if value is not None and at is not None and at in frame.columns]
    if HISTORY in frame.columns:
        frame = known_by(frame, int(pl.select(pl.lit(now).dt.epoch("us")).item()))
    return frame.with_columns(
        pl.when(pl.col(at) <= now).then(pl.col(name)).otherwise(None).alias(name)
        for value, at in told
        for name in (value, at)
    )


def check_columns(data: Dataset, frame: pl.DataFrame, learned: Ints) -> list[Finding]:
    """Whether an input by itself all but tells the label, or is known only where the label is.

    Args:
        frame: the clean table, payments without a label included.
        learned: the training rows of `data`.
    """
    found = [_perfect(data, learned, name) for name in (*data.numeric, *data.nominal)]
    ready = [name for name in (*data.numeric, *data.nominal) if name in frame.columns]
    return [finding for finding in chain(found, _beside_label(frame, str(data.schema.label), ready)) if finding]


def _perfect(data: Dataset, learned: Ints, name: str) -> Finding | None:
    rows = learned[:: max(1, len(learned) // _JUDGED)]
    fraud = data.y[learned]
    if len(rows) < len(learned):
        rows = np.union1d(rows, learned[fraud])
    column, fraud = data.table[name][rows], data.y[rows]
    if fraud.sum() < _FEW:
        return None
    area = max(_area(fraud, reading) for reading in _readings(column, fraud, name in data.numeric))
    if area < _PERFECT:
        return None
    sentence = (
        f"expected no input to tell fraud by itself, got a ROC AUC of {area:.3f} from `{name}` alone: it is known from "
        "the label or after it, so leave it out of the inputs"
    )
    return Finding("label_leak", sentence)


def _readings(column: pl.Series, fraud: Bools, numeric: bool) -> list[Floats]:
    """What a column may say: its size, and whether it is there; the fraud share of its name among other rows."""
    there = column.is_not_null().to_numpy().astype(np.float64)
    if numeric:
        values = column.cast(pl.Float64).to_numpy()
        return [there, np.where(np.isnan(values), np.nanmean(values) if there.any() else 0.0, values)]
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


def _area(fraud: Bools, reading: Floats) -> float:
    area = float(roc_auc_score(fraud, reading))
    return max(area, 1.0 - area)


def _beside_label(frame: pl.DataFrame, label: str, names: Sequence[str]) -> list[Finding]:
    unlabelled = frame[label].is_null().to_numpy()
    if unlabelled.sum() < _FEW or unlabelled.all():
        return []
    found = []
    for name in names:
        present = frame[name].is_not_null().to_numpy()
        if present[~unlabelled].mean() >= _BESIDE and present[unlabelled].mean() <= 1.0 - _BESIDE:
            sentence = (
                f"expected `{name}` to be known when a payment comes in, got it only for payments with a label: it "
                "comes with the label, so leave it out of the inputs"
            )
            found.append(Finding("label_leak", sentence))
    return found
