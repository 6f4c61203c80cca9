"""The doctor's checks of a fitted detector: finite, varied, well directed, repeatable scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from shroff.arrays import Bools, Ints, Labels, Matrix, Scores
from shroff.detect.base import ALL_NUMERIC, Detector
from shroff.detect.checks.finding import Finding

CHECKS = ("not_a_number", "constant", "direction", "order")
"""The names of the checks of `examine_scores`."""

_RESCORED_ROWS = 1_000
"""Rows that are scored more than once."""
_COLLAPSED_RANGE = 1e-6
"""Relative range of the middle 99 % of scores below which a network counts as collapsed."""
_TOLERANCE = 1e-6
_AGREEMENT_SHARE = 0.5
"""Share of the most suspicious rows that two seeds must have in common."""


@dataclass(frozen=True)
class _Patient:
    """A fitted detector with held-out rows, their labels and its scores of them."""

    detector: Detector
    X: Matrix
    fraud: Labels
    scores: Scores
    nominal: Mapping[int, int]

    @property
    def name(self) -> str:
        return self.detector.name

    @property
    def some(self) -> Ints:
        """Evenly spaced rows, few enough to be scored again."""
        return np.unique(
            np.linspace(0, len(self.X) - 1, min(_RESCORED_ROWS, len(self.X))).astype(np.int64)
        )


def examine_scores(
    detector: Detector,
    X: Matrix,
    fraud: Labels,
    scores: Scores,
    *,
    nominal: Mapping[int, int] = ALL_NUMERIC,
) -> list[Finding]:
    """Findings about a fitted detector's `scores` [rows] of held-out rows `X` [rows, columns]
    labelled `fraud`.

    Scores may be not finite (also with a value missing), constant or collapsed, point the wrong
    way, or depend on the order of rows. Costs about three scorings of at most 1,000 rows.

    >>> from shroff.detect import Rules
    >>> X = np.zeros((4, 1), dtype=np.float32)
    >>> rules = Rules(["amount > 500"]).fit(X)
    >>> [
    ...     finding.check
    ...     for finding in examine_scores(
    ...         rules, X, np.array([True, False, False, False]), rules.score(X)
    ...     )
    ... ]
    ['constant']
    """
    if not np.isfinite(scores).all():
        return [_broken(detector, int(np.count_nonzero(~np.isfinite(scores))), "held-out rows")]
    patient = _Patient(detector, X, fraud, scores, nominal)
    return [Finding(check, sentence) for check, run in _CHECKS.items() for sentence in run(patient)]


def seed_variance(
    detector: Detector,
    X: Matrix,
    y: Labels,
    held: Matrix,
    scores: Scores,
    *,
    nominal: Mapping[int, int] = ALL_NUMERIC,
) -> list[Finding]:
    """Whether another seed finds the same held-out rows most suspicious.

    Costs one more fit. `scores` are the fitted detector's scores of `held`. Detectors without a
    seed pass.
    """
    if "seed" not in detector.get_params(deep=False):
        return []
    other = clone(detector).set_params(seed=detector.get_params(deep=False)["seed"] + 1)
    again = other.fit(X, y if detector.needs_labels else None, nominal=nominal).score(held)
    count = max(1, len(held) // 100)
    agreed = _top(scores, count) & _top(again, count)
    share = float(agreed.sum()) / count
    if share >= _AGREEMENT_SHARE:
        return []
    sentence = (
        f"expected {detector.name} with another seed to find mostly the same payments most "
        f"suspicious, got {share:.0%} "
        f"of the top {count:,} in common: train longer, on more rows, or blend several seeds"
    )
    return [Finding("seed_variance", sentence)]


def _top(scores: Scores, count: int) -> Bools:
    top = np.zeros(len(scores), dtype=np.bool_)
    top[np.argsort(-scores, kind="stable")[:count]] = True
    return top


def _broken(detector: Detector, count: int, where: str) -> Finding:
    return Finding(
        "not_a_number",
        f"expected {detector.name} to score every payment with a number, got NaN or infinity for "
        f"{count:,} {where}: check its learning rate and the columns' values",
    )


def _gaps(patient: _Patient) -> Iterator[str]:
    """A live payment may lack any number, even one that was never missing in training."""
    rows = patient.X[patient.some[:: max(1, len(patient.some) // 100)]]
    for column in range(patient.X.shape[1]):
        if column in patient.nominal:
            continue
        lacking = rows.copy()
        lacking[:, column] = np.nan
        if not np.isfinite(patient.detector.score(lacking)).all():
            yield _broken(patient.detector, len(rows), f"rows that lack input {column}").sentence
            return


def _constant(patient: _Patient) -> Iterator[str]:
    scores, rules = patient.scores, bool(patient.detector.conditions)
    low, high = np.quantile(scores, (0.0, 1.0) if rules else (0.005, 0.995))
    if (
        high - low > _COLLAPSED_RANGE * max(float(np.abs(scores).max()), np.finfo(np.float64).tiny)
        and high > low
    ):
        return
    if scores.min() == scores.max():
        advice = (
            "write rules that hold for some payments"
            if rules
            else "check its inputs and parameters"
        )
        yield (
            f"expected {patient.name} to separate payments, got the same score for all "
            f"{len(scores):,}: {advice}"
        )
    elif not rules:
        yield (
            f"expected {patient.name} to separate payments, got nearly the same score for 99 % of "
            "them: the network has collapsed, so lower its learning rate or its regularisation"
        )


def _direction(patient: _Patient) -> Iterator[str]:
    frauds = int(patient.fraud.sum())
    others = len(patient.fraud) - frauds
    if not frauds or not others:
        return
    area = float(roc_auc_score(patient.fraud, patient.scores))
    # standard error of an area of one half, Hanley and McNeil, 1982
    error = float(np.sqrt((frauds + others + 1) / (12.0 * frauds * others)))
    if area < 0.5 - 3.0 * error:
        yield (
            f"expected {patient.name} to score fraud above genuine payments, got a ROC AUC of "
            f"{area:.3f} on held-out rows: its score points the wrong way, or its labels do"
        )


def _order(patient: _Patient) -> Iterator[str]:
    rows, scores, score = (
        patient.X[patient.some],
        patient.scores[patient.some],
        patient.detector.score,
    )
    order, few = np.random.default_rng(0).permutation(len(rows)), min(20, len(rows))
    close = partial(np.allclose, rtol=_TOLERANCE, atol=_TOLERANCE)
    if not close(score(rows[order]), scores[order]):
        how = "in another order"
    elif not close([score(rows[at : at + 1])[0] for at in range(few)], scores[:few]):
        how = "alone"
    else:
        return
    yield (
        f"expected {patient.name} to score each row independently, got other scores {how}: a score "
        "must not depend on the other rows"
    )


_CHECKS: Mapping[str, Callable[[_Patient], Iterable[str]]] = {
    "not_a_number": _gaps,
    "constant": _constant,
    "direction": _direction,
    "order": _order,
}
