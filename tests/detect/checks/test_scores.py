"""The doctor finds each planted fault of a fitted detector, and nothing in a sound one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from shroff.arrays import Matrix, Scores
from shroff.detect import BoostedTrees, Detector, LogisticRegression, Rules
from shroff.detect.base import ALL_NUMERIC
from shroff.detect.checks import Finding, examine_scores, planted, seed_variance


class Sum(Detector):
    """Sound: the sum of the first two columns."""

    name: ClassVar[str] = "sum"
    needs_labels: ClassVar[bool] = False

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        self.n_features_in_ = X.shape[1]
        return self

    def score(self, X: Matrix) -> Scores:
        total: Scores = np.nan_to_num(X)[:, :2].sum(axis=1, dtype=np.float64)
        return total

    def to_onnx(self) -> onnx.ModelProto:
        raise NotImplementedError


class Constant(Sum):
    def score(self, X: Matrix) -> Scores:
        return np.full(len(X), 3.0)


class Collapsed(Sum):
    def score(self, X: Matrix) -> Scores:
        return 3.0 + 1e-9 * super().score(X)


class Inverted(Sum):
    def score(self, X: Matrix) -> Scores:
        return -super().score(X)


class NotANumber(Sum):
    def score(self, X: Matrix) -> Scores:
        return np.where(np.arange(len(X)) == 7, np.nan, super().score(X))


class NoGaps(Sum):
    def score(self, X: Matrix) -> Scores:
        return np.asarray(X[:, :2].sum(axis=1), dtype=np.float64)


class Ranks(Sum):
    def score(self, X: Matrix) -> Scores:
        return np.asarray(np.argsort(np.argsort(super().score(X))), dtype=np.float64)


class Running(Sum):
    def score(self, X: Matrix) -> Scores:
        return np.cumsum(super().score(X))


class Draws(Sum):
    def score(self, X: Matrix) -> Scores:
        return super().score(X) + np.random.default_rng(self.seed).normal(size=len(X)) * 100.0


X, FRAUD, NOMINAL = planted()


def examined(detector: Detector) -> list[Finding]:
    fitted = detector.fit(X, FRAUD, nominal=NOMINAL)
    return examine_scores(fitted, X, FRAUD, fitted.score(X), nominal=NOMINAL)


@pytest.mark.parametrize(
    ("detector", "check", "told"),
    [
        (Constant(), "constant", "the same score for all 600"),
        (Collapsed(), "constant", "the network has collapsed"),
        (Inverted(), "direction", "points the wrong way"),
        (NotANumber(), "not_a_number", "NaN or infinity for 1 held-out rows"),
        (NoGaps(), "not_a_number", "rows that lack input 0"),
        (Ranks(), "order", "got other scores alone"),
        (Running(), "order", "in another order"),
    ],
)
def test_a_planted_fault_is_found(detector: Detector, check: str, told: str) -> None:
    found = {finding.check: finding for finding in examined(detector)}
    assert check in found
    assert found[check].severity == "failure"
    assert told in found[check].sentence


@pytest.mark.parametrize("detector", [Sum(), LogisticRegression(), BoostedTrees(n_trees=20)])
def test_a_sound_detector_has_no_findings(detector: Detector) -> None:
    assert examined(detector) == []


def test_rules_that_seldom_hold_are_not_collapsed() -> None:
    rows = np.zeros((1000, 1), dtype=np.float32)
    rows[3] = 1.0
    rules = Rules(["amount > 500"]).fit(rows)
    fraud = rows[:, 0] > 0
    assert examine_scores(rules, rows, fraud, rules.score(rows)) == []
    (never,) = examine_scores(rules, rows[:3], fraud[:3], rules.score(rows[:3]))
    assert (never.check, "write rules" in never.sentence) == ("constant", True)


def test_a_seed_that_changes_who_is_suspicious_is_found() -> None:
    noisy = Draws().fit(X)
    (found,) = seed_variance(noisy, X, FRAUD, X, noisy.score(X))
    assert (found.check, "another seed" in found.sentence) == ("seed_variance", True)
    for steady in (Sum(), BoostedTrees(n_trees=20), LogisticRegression()):
        fitted = steady.fit(X, FRAUD)
        assert seed_variance(fitted, X, FRAUD, X, fitted.score(X)) == []
