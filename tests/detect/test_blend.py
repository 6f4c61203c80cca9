"""Blend: one graph, better than its detectors, and its refusals."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from sklearn.metrics import roc_auc_score

from detect.rows import NOMINAL, graph_scores, payments
from shroff.arrays import Labels, Matrix
from shroff.detect.base import Detector
from shroff.detect.blend import Blend
from shroff.detect.checks import check_detector
from shroff.detect.forest import IsolationForest
from shroff.detect.linear import LogisticRegression
from shroff.detect.mahalanobis import Mahalanobis
from shroff.detect.neighbours import KNN
from shroff.detect.rules import Rules
from shroff.detect.trees import BoostedTrees
from shroff.errors import ConfigurationError


def members() -> list[Detector]:
    return [LogisticRegression(), BoostedTrees(n_trees=20), KNN()]


def test_it_keeps_the_contract() -> None:
    check_detector(Blend(members()))
    check_detector(Blend(members(), how="rank"))
    check_detector(Blend(members()[:2]), *payments(), nominal=NOMINAL)
    check_detector(Blend([KNN(), IsolationForest(n_trees=30), Mahalanobis()], how="rank"))


def test_a_blend_of_blends_keeps_the_contract() -> None:
    inner = Blend([KNN(), Mahalanobis()], how="rank")
    check_detector(Blend([inner, LogisticRegression()]))


def halves(rows: int, seed: int) -> tuple[Matrix, Labels]:
    """Half of the fraud lies along a line through ten columns, the other half in a corner that only
    trees see.
    """
    X = np.random.default_rng(seed).normal(size=(rows, 12)).astype(np.float32)
    return X, (X[:, 2:].sum(axis=1) > 5) | ((X[:, 0] > 1) & (X[:, 1] < -1))


def test_a_stack_is_better_than_its_parts_on_new_rows() -> None:
    X, fraud = halves(3000, 0)
    new, truth = halves(3000, 1)
    parts = [LogisticRegression(), BoostedTrees(n_trees=30)]
    alone = [roc_auc_score(truth, part.fit(X, fraud).score(new)) for part in parts]
    assert roc_auc_score(truth, Blend(parts).fit(X, fraud).score(new)) > max(alone)


def test_a_useless_detector_gets_next_to_no_weight() -> None:
    X, fraud = halves(3000, 0)
    trees = BoostedTrees(n_trees=50)
    blend = Blend([trees, KNN(k=1)]).fit(X, fraud)
    useful, useless = (
        part.slopes[0] * np.std(d.score(X))
        for part, d in zip(blend.maps_, blend.detectors_, strict=True)
    )
    assert useful > 5 * abs(useless)


def test_ranks_know_no_scale() -> None:
    X, fraud = payments(1000)
    plain = Blend([Mahalanobis(), KNN()], how="rank").fit(X, nominal=NOMINAL)
    assert (
        np.corrcoef(
            plain.score(X), -np.log(1.0005 - ranks(Mahalanobis().fit(X, nominal=NOMINAL).score(X)))
        )[0, 1]
        > 0.8
    )
    # the mean of -log of a uniform share is 1
    assert plain.score(X).mean() == pytest.approx(1.0, abs=0.15)
    assert fraud.any()


def ranks(
    scores: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.argsort(np.argsort(scores)) / len(scores)


def test_ranks_go_on_above_every_training_score() -> None:
    X, _ = payments()
    blend = Blend([Mahalanobis(), KNN()], how="rank").fit(X, nominal=NOMINAL)
    far = X[:3].copy()
    far[:, 0] = [10, 100, 1000]
    assert (np.diff([blend.score(X).max(), *blend.score(far)]) > 0).all()
    assert graph_scores(blend, far) == pytest.approx(blend.score(far), rel=1e-5)


def test_labels_are_needed_where_a_part_needs_them() -> None:
    assert Blend(members(), how="rank").needs_labels
    assert Blend([KNN(), Mahalanobis()]).needs_labels
    assert not Blend([KNN(), Mahalanobis()], how="rank").needs_labels
    with pytest.raises(ConfigurationError, match="pass y"):
        Blend(members()).fit(payments()[0], nominal=NOMINAL)


class Old(LogisticRegression):
    def to_onnx(self) -> onnx.ModelProto:
        model = super().to_onnx()
        model.opset_import[0].version = 11
        return model


@pytest.mark.parametrize(
    ("blend", "complaint"),
    [
        (Blend([KNN()]), "at least two"),
        (Blend([KNN(), Rules(["amount > 1"])]), "cannot be blended"),
        (Blend([KNN(), KNN()], how="vote"), "expected 'stack' or 'rank'"),  # type: ignore[arg-type]  # wrong on purpose
    ],
)
def test_bad_parameters_are_refused(blend: Blend, complaint: str) -> None:
    X, fraud = payments()
    with pytest.raises(ConfigurationError, match=complaint):
        blend.fit(X, fraud, nominal=NOMINAL)


def test_a_graph_of_other_operators_is_refused() -> None:
    X, fraud = payments()
    blend = Blend([Old(), KNN()]).fit(X, fraud, nominal=NOMINAL)
    with pytest.raises(ConfigurationError, match="operator sets"):
        blend.to_onnx()
