"""The contract suite passes a sound detector and catches each planted fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from shroff.arrays import Matrix, Scores
from shroff.detect.base import ALL_NUMERIC, Detector, require_fitted
from shroff.detect.checks import DetectorCheckFailed, check_detector, planted
from shroff.detect.graph import DOUBLE, INPUT, Graph
from shroff.errors import ConfigurationError


class Sum(Detector):
    """Sound: the sum of the first two columns, over a learned scale."""

    name: ClassVar[str] = "sum"
    needs_labels: ClassVar[bool] = False

    def __init__(self, *, power: float = 1.0) -> None:
        self.power = power

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        self.scale_ = float(np.std(X[:, :2])) ** self.power
        self.n_features_in_ = X.shape[1]
        return self

    def score(self, X: Matrix) -> Scores:
        require_fitted(self)
        total: Scores = X[:, :2].sum(axis=1, dtype=np.float64) / self.scale_
        return total

    def to_onnx(self) -> onnx.ModelProto:
        columns = require_fitted(self)
        graph = Graph()
        two = graph.add("Gather", INPUT, graph.constant([0, 1]), axis=1)
        total = graph.add(
            "ReduceSum", graph.add("Cast", two, to=DOUBLE), graph.constant([1]), keepdims=0
        )
        return graph.model(graph.add("Div", total, graph.constant(self.scale_)), columns=columns)


class Constant(Sum):
    def score(self, X: Matrix) -> Scores:
        return super().score(X) * 0.0


class Inverted(Sum):
    def score(self, X: Matrix) -> Scores:
        return -super().score(X)


class NotANumber(Sum):
    def score(self, X: Matrix) -> Scores:
        return np.where(np.isnan(X).any(axis=1), np.nan, super().score(X))


class Single(Sum):
    def score(self, X: Matrix) -> Scores:
        return super().score(X).astype(np.float32)


class Running(Sum):
    def score(self, X: Matrix) -> Scores:
        return super().score(X).cumsum()


class Centred(Sum):
    def score(self, X: Matrix) -> Scores:
        scores = super().score(X)
        return scores - float(scores.mean())


class Unseeded(Sum):
    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        super().fit(X)
        self.scale_ *= np.random.default_rng().uniform(0.5, 1.5)
        return self


class Eager(Sum):
    def score(self, X: Matrix) -> Scores:
        return np.zeros(len(X)) if not hasattr(self, "scale_") else super().score(X)


class Rounding(Sum):
    def __init__(self, *, power: float = 1.0) -> None:
        self.power = power + 0.0 if power != 1.0 else np.float64(1.0)


class Learning(Sum):
    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        self.scale = 1.0
        return super().fit(X)


class Tuning(Sum):
    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        self.power = 0.5
        return super().fit(X)


class Spoiling(Sum):
    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        super().fit(X)
        X[:, 0] = 0.0
        return self


class Silent(Sum):
    def fit(  # type: ignore[override]  # wrong on purpose
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> None:
        super().fit(X)


class Nameless(Sum):
    name: ClassVar[str] = "two words"


class Unlabelled(Sum):
    needs_labels: ClassVar[bool] = None  # type: ignore[assignment]  # wrong on purpose


class OtherGraph(Sum):
    def to_onnx(self) -> onnx.ModelProto:
        require_fitted(self)
        other = Sum()
        other.scale_, other.n_features_in_ = self.scale_ * 1.0001, self.n_features_in_
        return other.to_onnx()


class OneRowGraph(Sum):
    def to_onnx(self) -> onnx.ModelProto:
        columns = require_fitted(self)
        graph = Graph()
        first = graph.add("Gather", INPUT, graph.constant([0]))
        return graph.model(graph.add("ReduceSum", first), columns=columns)


class RenamedGraph(Sum):
    def to_onnx(self) -> onnx.ModelProto:
        model = super().to_onnx()
        model.graph.output[0].name = model.graph.node[-1].output[0] = "suspicion"
        return model


def test_a_sound_detector_passes_and_stays_unfitted() -> None:
    detector = Sum(power=2.0)
    check_detector(detector)
    assert vars(detector) == {"power": 2.0}


@pytest.mark.parametrize(
    ("faulty", "complaint"),
    [
        (Constant, "the same score"),
        (Inverted, "higher must be more suspicious"),
        (NotANumber, "not finite"),
        (Single, "float64"),
        (Running, "another order"),
        (Centred, "alone than in a batch"),
        (Unseeded, "needs its seed"),
        (Eager, "score should raise NotFitted"),
        (Rounding, "changes the parameter `power`"),
        (Learning, "sets `scale`: a learned name ends in `_`"),
        (Tuning, "fit changes a parameter"),
        (Spoiling, "changes the X"),
        (Silent, "return the detector itself"),
        (Nameless, "class attribute `name`"),
        (Unlabelled, "class attribute `needs_labels`"),
        (OtherGraph, "scores otherwise"),
        (OneRowGraph, "expected float32"),
        (RenamedGraph, "'suspicion'"),
    ],
)
def test_a_planted_fault_is_caught(faulty: type[Sum], complaint: str) -> None:
    with pytest.raises(DetectorCheckFailed, match=complaint) as failure:
        check_detector(faulty())
    assert faulty.__name__ in str(failure.value)


def test_rows_of_the_user_are_used() -> None:
    X, fraud, nominal = planted(seed=3)
    check_detector(Sum(), X, fraud, nominal=nominal)
    with pytest.raises(DetectorCheckFailed, match="higher must be more suspicious"):
        check_detector(Sum(), X, ~fraud, nominal=nominal)
    with pytest.raises(ConfigurationError, match="both X and y or neither"):
        check_detector(Sum(), X)


def test_planted_rows_are_what_they_say() -> None:
    X, fraud, nominal = planted()
    assert X.dtype == np.float32
    assert X.shape == (600, 5)
    assert fraud.sum() == 30
    assert nominal == {4: 5}
    assert set(np.unique(X[:, 4])) == {0, 1, 2, 3, 4}
    assert np.isnan(X[:, 3]).any()
    assert X[fraud, 0].mean() > X[~fraud, 0].mean() + 3
    holds, fraud, nominal = planted(2)
    assert set(np.unique(holds)) == {0, 1}
    assert not nominal
    assert holds[fraud].mean() > holds[~fraud].mean()
