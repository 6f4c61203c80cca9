"""Tuning: the search sees validation folds only, resumes, and is never worse than the start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from shroff.arrays import Matrix, Scores
from shroff.detect import BoostedTrees, Detector, LogisticRegression, Mahalanobis, Rules
from shroff.detect.base import ALL_NUMERIC
from shroff.detect.checks import planted
from shroff.detect.space import Choice, Range, Space
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate import Split, TemporalSplit, average_precision
from shroff.experiment.folds import earlier, stratified, within
from shroff.experiment.tune import tune

X, FRAUD, NOMINAL = planted()


class Bump(Detector):
    """Scores well the nearer `at` is to 0.7 and where `shape` is (2, 1); remembers the rows it
    saw.
    """

    name: ClassVar[str] = "bump"
    needs_labels: ClassVar[bool] = True
    search_space: ClassVar[Space] = {
        "at": Range(low=0.0, high=1.0),
        "shape": Choice(((1,), (2, 1), None)),
        "times": Range(low=1, high=9),
    }
    seen: ClassVar[set[float]] = set()
    fits: ClassVar[int] = 0

    def __init__(
        self,
        *,
        at: float = 0.1,
        shape: tuple[int, ...] | None = None,
        times: int = 1,
        fixed: int = 0,
    ) -> None:
        self.at = at
        self.shape = shape
        self.times = times
        self.fixed = fixed

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        if self.at > 0.99:
            raise DataError("too far")
        assert isinstance(self.times, int)
        type(self).seen |= set(X[:, 0].tolist())
        type(self).fits += 1
        self.n_features_in_ = X.shape[1]
        return self

    def score(self, X: Matrix) -> Scores:
        type(self).seen |= set(X[:, 0].tolist())
        wrong = abs(self.at - 0.7) + 0.2 * (self.shape != (2, 1))
        noise = np.random.default_rng(0).normal(size=len(X))
        scores: Scores = X[:, 0] + 20.0 * wrong * noise
        return scores

    def to_onnx(self) -> onnx.ModelProto:
        raise NotImplementedError


def test_it_finds_better_parameters_than_those_given() -> None:
    bump, found = tune(Bump(fixed=3), X, FRAUD, stratified(FRAUD, 2), trials=40)
    assert found.before is not None
    assert found.best > found.before
    assert abs(bump.at - 0.7) < 0.2
    assert bump.shape == (2, 1)
    assert bump.fixed == 3
    assert not hasattr(bump, "n_features_in_")
    assert found.parameters == {"at": bump.at, "shape": bump.shape, "times": bump.times}
    assert found.pruned > 0
    assert found.to_dict()["trials"] == 40


def test_the_start_is_tried_first_and_kept_when_nothing_is_better() -> None:
    given = Bump(at=0.7, shape=(2, 1), times=4)
    best, found = tune(given, X, FRAUD, stratified(FRAUD, 2), trials=3)
    assert found.before == found.best
    assert best.get_params() == given.get_params()


def test_a_start_outside_the_space_is_no_obstacle() -> None:
    _, found = tune(Bump(at=-5.0, shape=(7,)), X, FRAUD, stratified(FRAUD, 2), trials=2)
    assert found.trials == 2


def test_only_rows_of_the_folds_are_seen() -> None:
    Bump.seen = set()
    folds = (Split(train=np.arange(0, 200), test=np.arange(200, 300)),)
    tune(Bump(), X, FRAUD, folds, trials=3)
    assert Bump.seen == set(X[:300, 0].tolist())


def test_a_trial_has_a_limit_of_rows_that_is_said(tmp_path: Path) -> None:
    Bump.seen = set()
    folds = (Split(train=np.arange(0, 400), test=np.arange(400, 600)),)
    _, found = tune(Bump(), X, FRAUD, folds, trials=2, rows=100)
    assert len(Bump.seen) == 100 + 200
    assert set(X[:400][FRAUD[:400], 0].tolist()) <= Bump.seen
    assert (found.rows, found.rows_of) == (100, 400)
    assert found.judged == "1 validation folds at random, 100 of 400 rows each"


def test_a_trial_whose_time_is_up_is_stopped_but_for_the_first() -> None:
    Bump.fits = 0
    _, found = tune(Bump(), X, FRAUD, stratified(FRAUD, 3), trials=4, seconds=1e-9)
    assert (found.overtime, found.pruned, found.failed, Bump.fits) == (3, 0, 0, 3 + 3)
    assert found.before == found.best
    assert "3 of 4 trials ran out of time" in found.judged


def test_trials_that_run_into_a_limit_of_the_fit_are_counted() -> None:
    _, found = tune(
        LogisticRegression(max_iter=1), X, FRAUD, stratified(FRAUD, 2), nominal=NOMINAL, trials=2
    )
    assert found.capped == 2
    assert "2 of 2 trials ran into a limit of the fit" in found.judged


def test_the_same_seed_finds_the_same() -> None:
    folds = stratified(FRAUD, 2)
    (_, first), (_, again), (_, other) = (
        tune(Bump(), X, FRAUD, folds, trials=8, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.parameters != other.parameters


def test_a_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folds, kept = stratified(FRAUD, 2), tmp_path / "home" / "tuning.db"
    _, half = tune(Bump(), X, FRAUD, folds, trials=4, storage=kept)
    Bump.fits = 0
    _, again = tune(Bump(), X, FRAUD, folds, trials=4, storage=kept)
    assert again == half
    assert Bump.fits == 0
    _, whole = tune(Bump(), X, FRAUD, folds, trials=9, storage=kept)
    assert whole.study == half.study
    assert whole.trials == 9
    assert whole.best >= half.best
    assert 0 < Bump.fits <= 10


@pytest.mark.parametrize("change", ["rows", "labels", "folds", "fixed", "metric"])
def test_anything_else_is_another_search(change: str) -> None:
    folds = stratified(FRAUD, 2)
    _, plain = tune(Bump(), X, FRAUD, folds, trials=1)
    rows = X + 1 if change == "rows" else X
    labels = np.roll(FRAUD, 1) if change == "labels" else FRAUD
    other = stratified(FRAUD, 2, seed=1) if change == "folds" else folds
    _, changed = tune(
        Bump(fixed=int(change == "fixed")),
        rows,
        labels,
        other,
        trials=1,
        metric="roc_auc" if change == "metric" else "average_precision",
    )
    assert changed.study != plain.study


def test_a_trial_that_cannot_be_trained_is_counted_not_raised() -> None:
    best, found = tune(Bump(at=0.995), X, FRAUD, stratified(FRAUD, 2), trials=5)
    assert found.failed >= 1
    assert found.before is None
    assert best.at < 0.99
    with pytest.raises(ConfigurationError, match="none of the 1 trials"):
        tune(Bump(at=1.0), X, FRAUD, stratified(FRAUD, 2), trials=1)


def test_the_metric_may_be_a_function_of_the_judged_rows() -> None:
    judged: list[int] = []

    def lowest(rows: npt.NDArray[np.int64], scores: Scores) -> float:
        judged.extend(rows.tolist())
        return average_precision(FRAUD[rows], -scores)

    tune(Bump(), X, FRAUD, stratified(FRAUD, 2), trials=1, metric=lowest)
    assert sorted(judged) == list(range(600))


@pytest.mark.parametrize(
    "detector", [LogisticRegression(), BoostedTrees(n_trees=60), Mahalanobis()]
)
def test_detectors_are_tuned_by_their_own_space(detector: Detector) -> None:
    best, found = tune(detector, X, FRAUD, stratified(FRAUD, 2), nominal=NOMINAL, trials=3)
    assert set(found.parameters) == set(detector.search_space)
    assert best.fit(X, FRAUD, nominal=NOMINAL).score(X).shape == (600,)


def test_what_cannot_be_tuned_is_refused() -> None:
    folds = stratified(FRAUD, 2)
    with pytest.raises(ConfigurationError, match="nothing to tune"):
        tune(Rules(["amount > 1"]), X, FRAUD, folds)
    with pytest.raises(ConfigurationError, match="at least 1 trial"):
        tune(Bump(), X, FRAUD, folds, trials=0)
    with pytest.raises(ConfigurationError, match="at least 1 trial and 1 fold"):
        tune(Bump(), X, FRAUD, [])
    with pytest.raises(DataError, match="row numbers below 600"):
        tune(Bump(), X, FRAUD, [Split(train=np.arange(10), test=np.array([600]))])


def test_folds_within_a_split_stay_in_its_training_days() -> None:
    split = TemporalSplit(date(2024, 1, 1), train_days=60, delay_days=7, test_days=22)
    folds = within(split, 3)
    ends = [fold.train_days + fold.delay_days + fold.test_days for fold in folds]
    assert ends == [48, 54, 60]
    assert {fold.start for fold in folds} == {split.start}
    with pytest.raises(ConfigurationError, match="tune on fewer folds"):
        within(TemporalSplit(date(2024, 1, 1), train_days=9, delay_days=7, test_days=1), 2)


def test_earlier_folds_are_judged_before_the_split_learns_of_its_test() -> None:
    split = TemporalSplit(date(2018, 7, 25), train_days=7, delay_days=7, test_days=7)
    assert [fold.start for fold in earlier(split)] == [
        date(2018, 7, 11),
        date(2018, 7, 4),
        date(2018, 6, 27),
        date(2018, 6, 20),
    ]


def test_stratified_folds_judge_every_row_once() -> None:
    folds = stratified(FRAUD, 3)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(600))
    assert all(not set(fold.train) & set(fold.test) for fold in folds)
    assert [int(FRAUD[fold.test].sum()) for fold in folds] == [10, 10, 10]
    with pytest.raises(ConfigurationError, match="at least 2 folds"):
        stratified(FRAUD, 1)
    assert len(stratified(np.arange(40) < 2, 3)) == 2
    with pytest.raises(DataError, match="at least 2 frauds"):
        stratified(np.arange(40) < 1, 3)
