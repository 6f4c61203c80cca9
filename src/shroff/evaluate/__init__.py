"""Evaluate: split payments, measure detectors, choose thresholds by cost.

Reads NumPy arrays with one value per payment: labels `y` (1 or True is fraud), scores (higher is
more suspicious), probabilities in [0, 1], amounts in major units of one currency, times in UTC.
Promises the same figures in any order of the rows, and a DataError for labels, scores or amounts
that are missing or out of range. Tables for the terminal are in `shroff.evaluate.report`, the
doctor's checks in `shroff.evaluate.doctor`.

>>> import numpy as np
>>> from shroff.evaluate import measure, parse_split
>>> y, p = np.array([0, 0, 0, 1] * 25), np.tile([0.1, 0.2, 0.6, 0.7], 25)
>>> test = parse_split("random:70/30").rows(y).test
>>> measure(y[test], p[test], threshold=0.5).recall
1.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.evaluate.challenge import Challenge
from shroff.evaluate.cost import Cost, total_cost
from shroff.evaluate.daily import DailyCosts
from shroff.evaluate.guarantee import DeclineCounts, Guarantee
from shroff.evaluate.held_out import HeldOut
from shroff.evaluate.review import Review
from shroff.evaluate.thresholds import NEVER, Thresholds, choose_thresholds, cost_by_threshold
from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.evaluate.metrics import (
        Curve,
        Metrics,
        average_precision,
        best_f1_threshold,
        card_precision_at_k,
        curve_precision_recall,
        curve_roc,
        expected_calibration_error,
        measure,
        roc_auc,
    )
    from shroff.evaluate.parts import Split
    from shroff.evaluate.split import AnySplit, LatestSplit, RandomSplit, TemporalSplit
    from shroff.evaluate.split_text import parse_split
    from shroff.evaluate.survey import describe_split, fit_split, suggest_split

__all__ = [
    "NEVER",
    "AnySplit",
    "Challenge",
    "Cost",
    "Curve",
    "DailyCosts",
    "DeclineCounts",
    "Guarantee",
    "HeldOut",
    "LatestSplit",
    "Metrics",
    "RandomSplit",
    "Review",
    "Split",
    "TemporalSplit",
    "Thresholds",
    "average_precision",
    "best_f1_threshold",
    "card_precision_at_k",
    "choose_thresholds",
    "cost_by_threshold",
    "curve_precision_recall",
    "curve_roc",
    "describe_split",
    "expected_calibration_error",
    "fit_split",
    "measure",
    "parse_split",
    "roc_auc",
    "suggest_split",
    "total_cost",
]

# a service splits and measures nothing
__getattr__ = loading(
    __name__,
    {
        "Split": "parts",
        "parse_split": "split_text",
        **dict.fromkeys(("AnySplit", "LatestSplit", "RandomSplit", "TemporalSplit"), "split"),
        **dict.fromkeys(("describe_split", "fit_split", "suggest_split"), "survey"),
        **dict.fromkeys(
            (
                "Curve",
                "Metrics",
                "average_precision",
                "best_f1_threshold",
                "card_precision_at_k",
                "curve_precision_recall",
                "curve_roc",
                "expected_calibration_error",
                "measure",
                "roc_auc",
            ),
            "metrics",
        ),
    },
)
