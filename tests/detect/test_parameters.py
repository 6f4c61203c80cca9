"""Parameters of detectors that no library would take are refused where they are defined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shroff.collect import Schema
from shroff.detect import (
    GAN,
    KNN,
    MLP,
    Blend,
    BoostedTrees,
    DeepSVDD,
    Detector,
    IsolationForest,
    LinearSVM,
    LogisticRegression,
    Mahalanobis,
    Rules,
)
from shroff.detect.checks import planted
from shroff.errors import ConfigurationError
from shroff.project import Project

NAN = float("nan")
WRONG: dict[type[Detector], dict[str, list[Any]]] = {
    BoostedTrees: {
        "n_trees": [0, -1, 2.5, "a", True, None],
        "learning_rate": [0, -1.0, NAN, "a"],
        "max_depth": [2.5, None],
        "num_leaves": [1, 131_073],
        "min_child_samples": [-1],
        "subsample": [0.0, 1.5],
        "colsample": [0.0, 1.5],
        "reg_lambda": [-1.0],
        "max_bins": [1],
        "threads": [0.5],
        "seed": ["a", 0.5],
    },
    LogisticRegression: {
        "C": [-1, 0, "a", NAN],
        "max_iter": [0, 10.5],
        "class_weight": ["balansed", 2, {2: 1.0}, {1: -1.0}, ["balanced"]],
    },
    IsolationForest: {
        "n_trees": [0],
        "sample": [0, 2.5],
        "columns": [0.0, 1.5],
        "side": ["lower"],
        "seed": [-1, 2**32],
    },
    LinearSVM: {
        "C": [0, float("inf")],
        "loss": ["log"],
        "class_weight": ["balansed"],
        "approximation": ["cosine", ["nystroem"]],
        "components": [0],
        "gamma": [0.0],
        "sample": [1],
        "max_iter": [0],
        "seed": [-1],
    },
    KNN: {"k": [0, 1.5], "distance": ["least"], "sample": [0], "side": ["lower"]},
    MLP: {"epochs": [0, 1.5], "learning_rate": [0.0], "loss": ["hinge"], "class_weight": [0, "x"]},
}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        pytest.param(kind, name, value, id=f"{kind.__name__}-{name}-{value}")
        for kind, parameters in WRONG.items()
        for name, values in parameters.items()
        for value in values
    ],
)
def test_a_wrong_parameter_is_refused_in_a_sentence(
    kind: type[Detector], name: str, value: Any
) -> None:
    detector = kind(**{name: value})
    with pytest.raises(ConfigurationError) as raised:
        detector.check_parameters()
    assert str(raised.value).startswith(f"{kind.__name__}({name}={value!r}): expected ")
    with pytest.raises(ConfigurationError, match="expected"):
        detector.fit(*planted()[:2])


@pytest.mark.parametrize(
    "wrong", [GAN(n_noise=0), DeepSVDD(nu=2.0), Mahalanobis(keep=0.1), Rules([])], ids=str
)
def test_the_other_detectors_refuse_it_before_they_see_data(wrong: Detector) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        wrong.check_parameters()


@pytest.mark.parametrize("blended", [False, True])
def test_a_project_refuses_it_when_it_is_defined(blended: bool) -> None:
    wrong: Detector = BoostedTrees(n_trees=0)
    if blended:
        wrong = Blend([LogisticRegression(), wrong])
    schema = Schema(id="id", time="at", amount="amount", default_currency="EUR")
    with pytest.raises(
        ConfigurationError, match=r"^BoostedTrees\(n_trees=0\): expected a whole number from 1$"
    ):
        Project(schema=schema, detectors=[wrong])


def test_what_the_libraries_take_is_taken() -> None:
    whole: Any = np.int64(3)
    small: Any = np.float32(0.1)
    for detector in (
        BoostedTrees(n_trees=whole, learning_rate=small, max_depth=-1, seed=-1),
        LogisticRegression(C=float("inf"), class_weight="balanced"),
        LinearSVM(C=np.float64(0.5), seed=whole),
        IsolationForest(n_trees=2, columns=1),
    ):
        detector.fit(*planted()[:2])


def test_all_columns_are_all_also_as_a_whole_number() -> None:
    X = planted()[0]
    whole, share = (IsolationForest(n_trees=2, columns=one).fit(X) for one in (1, 1.0))
    assert whole.score(X) == pytest.approx(share.score(X))
