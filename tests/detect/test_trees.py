"""Boosted trees, and the graph that decides as LightGBM does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shroff.arrays import Labels, Matrix
from shroff.detect.checks import check_detector
from shroff.detect.trees import BoostedTrees
from shroff.errors import ConfigurationError

NOMINAL = {2: 30, 4: 6}


def payments(rows: int = 3000, *, seed: int = 0) -> tuple[Matrix, Labels]:
    """Columns: no gaps in training, gaps, nominal, no gaps and mostly 0, nominal."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            rng.normal(size=rows),
            rng.normal(size=rows),
            rng.integers(0, 30, rows),
            rng.normal(size=rows) * (rng.random(rows) < 0.2),
            rng.integers(0, 6, rows),
        ]
    )
    risk = X[:, 0] + (X[:, 1] > 1) + (X[:, 2] % 7 == 3) + np.abs(X[:, 3]) + (X[:, 4] == 2)
    fraud = risk + rng.normal(size=rows) > 3.0
    X[rng.random(rows) < 0.2, 1] = np.nan
    return X.astype(np.float32), fraud


@pytest.fixture(scope="module")
def model() -> BoostedTrees:
    return BoostedTrees(n_trees=150, max_depth=-1, num_leaves=31, threads=1).fit(
        *payments(), nominal=NOMINAL
    )


@pytest.fixture(scope="module")
def session(model: BoostedTrees) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.to_onnx().SerializeToString())


def thresholds(node: Mapping[str, object]) -> Iterator[tuple[int, float]]:
    if "left_child" not in node:
        return
    if node["decision_type"] == "<=":
        yield node["split_feature"], node["threshold"]  # type: ignore[misc]  # JSON of LightGBM has no type
    for side in ("left_child", "right_child"):
        yield from thresholds(node[side])  # type: ignore[arg-type]  # JSON of LightGBM has no type


def test_it_keeps_the_contract() -> None:
    check_detector(BoostedTrees(n_trees=60, threads=1))
    check_detector(BoostedTrees(n_trees=60, subsample=0.5, threads=1), *payments(), nominal=NOMINAL)


def test_every_kind_of_split_was_learned(model: BoostedTrees) -> None:
    trees = model.booster_.dump_model()["tree_info"]
    assert any(tree["num_cat"] for tree in trees)
    assert {column for tree in trees for column, _ in thresholds(tree["tree_structure"])} == {
        0,
        1,
        3,
    }


def test_the_graph_decides_alike_on_and_beside_every_threshold(
    model: BoostedTrees, session: onnxruntime.InferenceSession
) -> None:
    trees = model.booster_.dump_model()["tree_info"]
    splits = sorted({split for tree in trees for split in thresholds(tree["tree_structure"])})
    base, rows = payments(1)[0][0], []
    for column, threshold in splits:
        at = np.float32(threshold)
        for value in (
            at,
            np.nextafter(at, np.float32(-np.inf)),
            np.nextafter(at, np.float32(np.inf)),
        ):
            rows.append(base.copy())
            rows[-1][column] = value
    X = np.array(rows)
    (scores,) = session.run(["score"], {"X": X})
    assert len(X) > 500
    assert np.abs(scores - model.score(X)).max() < 1e-6


value = st.floats(width=32) | st.sampled_from(
    [np.nan, 0.0, -0.0, 1e-35, -1e-35, 1e-40, np.inf, -np.inf]
)


@given(numbers=arrays(np.float32, (4, 3), elements=value), codes=st.integers(0, 30**4 - 1))
def test_the_graph_decides_alike_for_any_numbers(
    model: BoostedTrees, session: onnxruntime.InferenceSession, numbers: Matrix, codes: int
) -> None:
    digits = codes // 30 ** np.arange(4) % 30
    X = np.column_stack([numbers[:, :2], digits, numbers[:, 2], digits % 6]).astype(np.float32)
    (scores,) = session.run(["score"], {"X": X})
    assert np.abs(scores - model.score(X)).max() < 1e-6


def test_the_graph_decides_alike_for_every_code(
    model: BoostedTrees, session: onnxruntime.InferenceSession
) -> None:
    X = np.repeat(payments(20)[0], 30 * 6, axis=0)
    X[:, 2], X[:, 4] = np.tile(np.repeat(np.arange(30), 6), 20), np.tile(np.arange(6), 20 * 30)
    (scores,) = session.run(["score"], {"X": X})
    assert np.abs(scores - model.score(X)).max() < 1e-6


def test_too_few_rows_for_a_split_give_the_share_of_fraud() -> None:
    X = np.arange(10, dtype=np.float32)[:, None]
    model = BoostedTrees(threads=1).fit(X, np.arange(10) < 2)
    (scores,) = onnxruntime.InferenceSession(model.to_onnx().SerializeToString()).run(
        None, {"X": X}
    )
    assert model.score(X) == pytest.approx(np.log(0.25))
    assert scores == pytest.approx(np.log(0.25))


def test_threads_change_nothing_and_the_seed_does() -> None:
    X, fraud = payments(1000)
    first, threaded, reseeded = (
        BoostedTrees(n_trees=20, threads=threads, seed=seed).fit(X, fraud, nominal=NOMINAL).score(X)
        for threads, seed in ((1, 0), (2, 0), (1, 1))
    )
    assert np.array_equal(first, threaded)
    assert not np.array_equal(first, reseeded)


def test_rare_fraud_in_the_tail_of_a_column_is_found() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 1)).astype(np.float32)
    fraud = X[:, 0] > np.quantile(X, 0.9995)
    tail = np.quantile(X, 0.998)
    fine, coarse = (
        BoostedTrees(n_trees=100, max_bins=bins, threads=1).fit(X, fraud).score(X)
        for bins in (4095, 255)
    )
    genuine_tail = ~fraud & (X[:, 0] > tail)
    assert fine[fraud].min() > fine[genuine_tail].mean() + 5
    assert coarse[fraud].min() < coarse[genuine_tail].mean() + 5


def test_it_refuses_to_learn_without_labels() -> None:
    with pytest.raises(ConfigurationError, match="pass y"):
        BoostedTrees().fit(payments(50)[0])
