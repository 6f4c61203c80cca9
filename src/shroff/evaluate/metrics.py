"""Figures of a detector on payments whose labels are known.

`y` [n] is 1 (or True) for fraud, `probability` [n] is in [0, 1], a `score` [n] is any number that
is higher for more suspicious payments. A payment is flagged when its probability is at least the
threshold. A ratio whose denominator is zero is 0.0: precision when nothing is flagged, recall, ROC
AUC and average precision when there is no fraud.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from shroff.arrays import Array, Bools, Floats, Ints
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate.checking import (
    check_labels,
    check_length,
    check_numbers,
    check_probabilities,
    count_from_top,
    rank_codes,
)
from shroff.evaluate.thresholds import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The figures of one detector on one set of payments; `measure` computes them.

    `tp`, `fp`, `tn`, `fn` count frauds caught, genuine payments flagged, genuine payments passed
    and frauds missed. `card_precision_at_k` is None where no cards were given.
    """

    n: int
    frauds: int
    threshold: float
    tp: int
    fp: int
    tn: int
    fn: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float
    card_precision_at_k: float | None
    k: int
    brier: float
    log_loss: float
    expected_calibration_error: float

    def to_dict(self) -> dict[str, int | float | None]:
        """The figures by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve, from the highest threshold to the lowest: three arrays [p]."""

    x: Floats
    y: Floats
    threshold: Floats

    def to_dict(self) -> dict[str, list[float]]:
        """The three arrays as lists, ready for JSON."""
        return {"x": self.x.tolist(), "y": self.y.tolist(), "threshold": self.threshold.tolist()}


def measure(
    y: Array,
    probability: Array,
    *,
    threshold: float,
    day: Array | None = None,
    card: Array | None = None,
    k: int = 100,
) -> Metrics:
    """All figures of the `probability` [n] that a detector gave to payments labelled `y` [n].

    `day` [n] (any sortable type) and `card` [n] come together and add the card precision at `k`.

    Raises `DataError` for no payments, unequal lengths, labels other than 0 and 1, and
    probabilities that are NaN or outside [0, 1]; `ConfigurationError` for only one of `day` and
    `card`, or a `k` below 1.

    >>> m = measure(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]), threshold=0.5)
    >>> m.tp, m.fp, m.tn, m.fn, m.precision, m.recall, m.roc_auc, round(m.brier, 3)
    (1, 1, 1, 1, 0.5, 0.5, 0.75, 0.185)
    """
    fraud, p = _check_judged(y, probability)
    if (day is None) != (card is None):
        raise ConfigurationError("expected `day` and `card` together, got only one of them")
    at_k = None if day is None or card is None else card_precision_at_k(day, card, fraud, p, k)
    flagged = p >= threshold
    tp, fp = int((flagged & fraud).sum()), int((flagged & ~fraud).sum())
    n, frauds = fraud.size, int(fraud.sum())
    return Metrics(
        n=n,
        frauds=frauds,
        threshold=float(threshold),
        tp=tp,
        fp=fp,
        tn=n - frauds - fp,
        fn=frauds - tp,
        accuracy=_ratio(tp + n - frauds - fp, n),
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, frauds),
        f1=_ratio(2 * tp, tp + fp + frauds),
        roc_auc=roc_auc(fraud, p),
        average_precision=average_precision(fraud, p),
        card_precision_at_k=at_k,
        k=k,
        brier=float(np.mean((p - fraud) ** 2)),
        log_loss=_log_loss(fraud, p),
        expected_calibration_error=expected_calibration_error(fraud, p),
    )


def roc_auc(y: Array, score: Array) -> float:
    """Area under the ROC curve: the share of pairs whose fraud outscores the genuine payment, ties
    counting half.

    >>> roc_auc(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    0.75
    """
    from sklearn.metrics import roc_auc_score  # slow to import, and only reports need it

    fraud, s = _check_ranked(y, score)
    return float(roc_auc_score(fraud, s)) if 0 < fraud.sum() < fraud.size else 0.0


def average_precision(y: Array, score: Array) -> float:
    """The precision at each fraud found, averaged over all frauds: the area under the
    precision-recall steps.

    >>> average_precision(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    0.8333333333333333
    """
    from sklearn.metrics import average_precision_score  # slow to import, and only reports need it

    fraud, s = _check_ranked(y, score)
    return float(average_precision_score(fraud, s)) if fraud.any() else 0.0


def card_precision_at_k(day: Array, card: Array, y: Array, score: Array, k: int = 100) -> float:
    """Of the `k` most suspicious cards of each day, the share that had a fraud that day, averaged
    over days.

    A card is as suspicious as its most suspicious payment of the day. A card that was caught (among
    the `k`, with a fraud that day) is blocked: its payments on later days are left out. The
    denominator is `k` even on a day with fewer cards. Cards with equal scores rank in ascending
    order of their names, so that neither labels nor the order of rows matter. Payments without a
    card (None) are left out.

    `day` [n] has any sortable type. Raises `DataError` for NaN scores and unequal lengths,
    `ConfigurationError` for a `k` below 1. Source: Le Borgne et al. (2022), chapter 4.

    >>> day, card = np.array([1, 1, 1, 2, 2]), np.array(["a", "a", "b", "a", "b"])
    >>> card_precision_at_k(
    ...     day, card, np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.9, 0.8, 0.9, 0.7]), k=1
    ... )
    1.0
    """
    if k < 1:
        raise ConfigurationError(f"expected `k` of 1 or more cards a day, got {k}")
    fraud, s = _check_ranked(y, score)
    check_length("day", day, fraud.size)
    check_length("card", card, fraud.size)
    days, number = np.unique(day, return_inverse=True)
    code = rank_codes(card)
    day_of, card_of, top, any_fraud = _group_by_day_and_card(number, code, fraud, s)
    order = np.lexsort((-top, day_of))  # stable: cards with equal scores stay in ascending order
    ends = np.searchsorted(day_of, np.arange(days.size + 1))
    caught = np.zeros(int(code.max()) + 1, dtype=np.bool_)
    found = np.zeros(days.size)
    for place, (start, stop) in enumerate(pairwise(ends.tolist())):
        today = order[start:stop]
        shown = today[~caught[card_of[today]]][:k]
        hits = shown[any_fraud[shown]]
        caught[card_of[hits]] = True
        found[place] = hits.size
    return float(np.mean(found / k))


def expected_calibration_error(y: Array, probability: Array, *, bins: int = 15) -> float:
    """The mean distance of probabilities from the share of frauds, over payments.

    Payments fall into `bins` equal intervals ((i - 1) / bins, i / bins] of probability, zero into
    the first; in each, the mean probability is compared with the share of frauds. Source: Guo et
    al., *On Calibration of Modern Neural Networks* (2017), section 2.

    >>> round(
    ...     expected_calibration_error(
    ...         np.array([0, 1, 1, 1]), np.array([0.5, 0.5, 0.9, 0.9]), bins=2
    ...     ),
    ...     3,
    ... )
    0.05
    """
    fraud, p = _check_judged(y, probability)
    excess = np.bincount(assign_bins(p, bins=bins), weights=p - fraud, minlength=bins)
    return float(np.abs(excess).sum() / p.size)


def assign_bins(probability: Floats, *, bins: int = 15) -> Ints:
    """The index of the interval ((i - 1) / bins, i / bins] that each probability falls into."""
    interval: Ints = np.clip(np.ceil(probability * bins).astype(np.int64) - 1, 0, bins - 1)
    return interval


def curve_roc(y: Array, score: Array, *, points: int = 500) -> Curve:
    """ROC curve: x the share of genuine payments flagged, y the share of frauds flagged, at each
    threshold.

    Every distinct score is a threshold; of them at most `points` are kept, evenly spread along the
    curve, with both ends. The point (0, 0), where nothing is flagged, is implied.

    >>> curve_roc(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0])).to_dict()["y"]
    [0.5, 0.5, 1.0, 1.0]
    """
    threshold, flagged, caught = count_from_top(*_check_ranked(y, score))
    x = (flagged - caught) / max(int(flagged[-1] - caught[-1]), 1)
    return _thin(x, caught / max(int(caught[-1]), 1), threshold, points)


def curve_precision_recall(y: Array, score: Array, *, points: int = 500) -> Curve:
    """Precision-recall curve: x the share of frauds flagged, y the share of flagged payments that
    are frauds.

    Every distinct score is a threshold; of them at most `points` are kept, evenly spread along the
    curve, with both ends.

    >>> curve_precision_recall(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0])).to_dict()[
    ...     "x"
    ... ]
    [0.5, 0.5, 1.0, 1.0]
    """
    threshold, flagged, caught = count_from_top(*_check_ranked(y, score))
    return _thin(caught / max(int(caught[-1]), 1), caught / flagged, threshold, points)


def best_f1_threshold(y: Array, probability: Array) -> float:
    """The probability that, as a threshold, gives the best F1; of several, the highest.

    `NEVER` where none catches fraud but the lowest, which flags every payment: rules that hold for
    no payment, or for no fraud.

    Raises `DataError` without a fraud in `y`: every threshold is then equally good.

    >>> best_f1_threshold(np.array([0, 1, 0, 1]), np.array([0.1, 0.3, 0.2, 0.4]))
    0.3
    """
    fraud, p = _check_judged(y, probability)
    if not fraud.any():
        raise DataError("expected at least one fraud to choose a threshold by F1, got none")
    threshold, flagged, caught = count_from_top(fraud, p)
    if not caught[:-1].any() and not fraud.all():
        return NEVER
    return float(threshold[np.argmax(2 * caught / (flagged + caught[-1]))])


def _check_judged(y: Array, probability: Array) -> tuple[Bools, Floats]:
    fraud, p = _check_ranked(y, probability)
    return fraud, check_probabilities(p, fraud.size)


def _check_ranked(y: Array, score: Array) -> tuple[Bools, Floats]:
    fraud = check_labels(y)
    if not fraud.size:
        raise DataError("expected at least one payment to measure on, got none")
    return fraud, check_numbers("score", score, fraud.size)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _log_loss(y: Bools, p: Floats) -> float:
    # a wrong probability of 0 or 1 would make the loss infinite
    tiny = float(np.finfo(np.float64).eps)
    return float(-np.mean(np.log(np.clip(np.where(y, p, 1 - p), tiny, 1))))


def _group_by_day_and_card(
    day: Ints, card: Ints, y: Bools, score: Floats
) -> tuple[Ints, Ints, Floats, Bools]:
    """For each card of each day, by day then card: day, card, highest score, whether any fraud."""
    rows = np.lexsort((card, day))
    rows = rows[card[rows] >= 0]
    day, card = day[rows], card[rows]
    new = np.append(True, (day[1:] != day[:-1]) | (card[1:] != card[:-1]))
    first = np.flatnonzero(new[: rows.size])
    if not first.size:
        return day, card, score[rows], y[rows]
    return (
        day[first],
        card[first],
        np.maximum.reduceat(score[rows], first),
        np.logical_or.reduceat(y[rows], first),
    )


def _thin(x: Floats, y: Floats, threshold: Floats, points: int) -> Curve:
    if points < 2:
        raise ConfigurationError(f"expected 2 or more points of a curve, got {points}")
    if x.size > points:
        along = np.cumsum(np.abs(np.diff(x, prepend=x[0])) + np.abs(np.diff(y, prepend=y[0])))
        kept = np.searchsorted(along, np.linspace(0, along[-1], points)).clip(max=x.size - 1)
        kept = np.unique(np.append(kept[:-1], x.size - 1))
        x, y, threshold = x[kept], y[kept], threshold[kept]
    return Curve(x, y, threshold)
