"""Judge detectors: split payments, measure figures, weigh costs, report.

Suspicion points up: a score or probability is higher for more suspicious payments. `y` is 1 or True for
fraud, probabilities are in [0, 1], money is in major units of one currency, days are calendar days. Arrays
are NumPy, one value per payment. The tables for people are in `shroff.evaluate.report`.

>>> import numpy as np
>>> from shroff.evaluate import measure, parse
>>> y, p = np.array([0, 0, 0, 1] * 25), np.tile([0.1, 0.2, 0.6, 0.7], 25)
>>> test = parse("random:70/30").rows(y).test
>>> measure(y[test], p[test], threshold=0.5).recall
1.0
"""

from shroff.evaluate.cost import NEVER, Cost, Thresholds, choose_thresholds, cost_by_threshold, total_cost
from shroff.evaluate.held_out import HeldOut
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
from shroff.evaluate.split import AnySplit, LatestSplit, RandomSplit, Split, TemporalSplit
from shroff.evaluate.split_text import parse
from shroff.evaluate.survey import allowed, fit_split, outlook

__all__ = [
    "NEVER",
    "AnySplit",
    "Cost",
    "Curve",
    "HeldOut",
    "LatestSplit",
    "Metrics",
    "RandomSplit",
    "Split",
    "TemporalSplit",
    "Thresholds",
    "allowed",
    "average_precision",
    "best_f1_threshold",
    "card_precision_at_k",
    "choose_thresholds",
    "cost_by_threshold",
    "curve_precision_recall",
    "curve_roc",
    "expected_calibration_error",
    "fit_split",
    "measure",
    "outlook",
    "parse",
    "roc_auc",
    "total_cost",
]
