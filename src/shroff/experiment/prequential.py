"""Prequential figures: each stretch of the test part judged by a detector that learned up to it.

The test part is cut into successive stretches, such as weeks. For each, the detector learns anew
from as many days as the training part has, which end the label delay before the stretch: what it
would have been if it had been trained again each week. Dal Pozzolo et al., *Credit Card Fraud
Detection: A Realistic Modeling and a Novel Learning Strategy* (2018); Le Borgne et al. (2022),
chapter 5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np

from shroff.detect import Detector, Preparation
from shroff.detect.base import quiet_caps
from shroff.evaluate import (
    Split,
    TemporalSplit,
    average_precision,
    card_precision_at_k,
    roc_auc,
)
from shroff.experiment.dataset import Dataset

FIGURES: Final = ("roc_auc", "average_precision", "card_precision_at_k")


class FoldFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A detector's figures on one stretch of the test part, `fold` as a split of its own.

    `card_precision_at_k` is None where the project names no card.
    """

    fold: str = ""
    payments: int
    frauds: int
    roc_auc: float
    average_precision: float
    card_precision_at_k: float | None


def judge(
    dataset: Dataset,
    detector: Detector,
    rows: Split,
    *,
    lists: Mapping[str, Collection[str]] = MappingProxyType({}),
    k: int = 100,
    fold: str = "",
) -> FoldFigures:
    """Fit a detector on the training rows of a split, and measure it on the test rows.

    Args:
        lists: named lists that the detector's SQL conditions may read.
        k: cards that people can check per day.
    """
    asked = detector.conditions
    table = dataset.conditions(asked, lists) if asked else dataset.table
    learn, y = table[rows.train], dataset.y
    preparation = (
        Preparation.plain(asked, learn)
        if asked
        else Preparation.learn(learn, numeric=dataset.numeric, nominal=dataset.nominal)
    )
    with quiet_caps():
        fitted = detector.fit(
            preparation.matrix(learn),
            y[rows.train] if detector.needs_labels else None,
            nominal=preparation.nominal_codes,
        )
    score, truth = fitted.score(preparation.matrix(table[rows.test])), y[rows.test]
    cards, day = dataset.cards, dataset.time[rows.test].astype("datetime64[D]")
    at_k = None if cards is None else card_precision_at_k(day, cards[rows.test], truth, score, k)
    return FoldFigures(
        fold=fold,
        payments=len(truth),
        frauds=int(truth.sum()),
        roc_auc=roc_auc(truth, score),
        average_precision=average_precision(truth, score),
        card_precision_at_k=at_k,
    )


def successive_rows(split: TemporalSplit, dataset: Dataset) -> dict[str, Split]:
    """The rows of each stretch of a split with folds, by the split that it is.

    Raises:
        UnsuitableSplit: a stretch, or what is learned for it, has no fraud or no genuine payment.
    """
    y, time, cards, labelled = dataset.y, dataset.time, dataset.cards, dataset.labelled
    return {str(one): one.rows(time, y, cards, labelled) for one in split.successive}


def spread(folds: Sequence[FoldFigures]) -> dict[str, dict[str, float]]:
    """The mean and the standard deviation of each figure over folds, as `mean` and `std`.

    The deviation is over these folds, as the book gives it: of few it says little, and folds that
    share training days are not independent.
    """
    found: dict[str, dict[str, float]] = {"mean": {}, "std": {}}
    for name in FIGURES:
        values = [getattr(one, name) for one in folds]
        if None not in values:
            found["mean"][name] = float(np.mean(values))
            found["std"][name] = float(np.std(values))
    return found


def told(folds: Sequence[FoldFigures]) -> dict[str, Any]:
    """The folds and their spread as JSON."""
    return {"folds": [msgspec.to_builtins(one) for one in folds], **spread(folds)}
