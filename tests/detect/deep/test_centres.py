"""Soft distances to many centres."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shroff.arrays import Floats
from shroff.detect.deep.centres import MAX_TRAINING_CENTRES, Centres
from shroff.detect.deep.keras_ops import KerasOps
from shroff.detect.deep.ops import NumpyOps


def rows(seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(600, 3)) + 10.0 * rng.integers(0, 3, size=(600, 1))


def test_one_centre_is_the_mean_and_its_distance_plain() -> None:
    X = rows()
    centres = Centres.learn(X.astype(np.float32), 1, seed=0)
    expected = ((X - X.mean(axis=0)) ** 2).sum(axis=1)
    assert centres.distance(NumpyOps(), X)[:, 0] == pytest.approx(expected, rel=1e-4)


def test_the_soft_minimum_is_at_most_a_share_above_the_nearest() -> None:
    X = rows()
    centres = Centres.learn(X.astype(np.float32), 30, seed=0)
    squared = ((X[:, None] - centres.points) ** 2).sum(axis=2)
    found = centres.distance(NumpyOps(), X)[:, 0]
    best = (squared - centres.temperature * centres.log_share).min(axis=1)
    assert np.all(found <= best + 1e-9)
    assert np.all(found >= squared.min(axis=1) - 1e-9)


def test_more_centres_tell_what_lies_between_the_groups() -> None:
    X, between = rows(), np.full((1, 3), 5.0)
    many, one = (Centres.learn(X.astype(np.float32), count, seed=0) for count in (30, 1))
    ops = NumpyOps()
    assert many.suspicion(ops, between) > np.quantile(many.suspicion(ops, X), 0.999)
    assert one.suspicion(ops, between) < np.quantile(one.suspicion(ops, X), 0.9)


def test_a_centre_keeps_four_rows_at_least() -> None:
    assert len(Centres.learn(rows()[:40].astype(np.float32), 256, seed=0).points) == 10
    assert len(Centres.learn(rows()[:3].astype(np.float32), 256, seed=0).points) == 1


def test_centres_for_scoring_are_more_where_rows_are_narrow_and_one_stays_where_it_was() -> None:
    rng = np.random.default_rng(0)
    narrow, wide, widest = (
        rng.normal(size=(5_000, width)).astype(np.float32) for width in (4, 64, 400)
    )
    count = {}
    for latent in (narrow, wide, widest):
        first = Centres.learn(latent, 8, seed=0)
        count[latent.shape[1]] = len(first.refined(latent, 1024, seed=0).points)
    assert count == {4: 1024, 64: 512, 400: MAX_TRAINING_CENTRES}
    alone = Centres.learn(narrow, 1, seed=0)
    moved = alone.refined(narrow + np.float32(3.0), 1024, seed=0)
    assert np.array_equal(moved.points, alone.points)
    assert moved.typical > alone.typical


@pytest.mark.parametrize(("known", "dirty"), [(15, 0.0), (40, 0.05)])
def test_a_knot_of_unlabelled_frauds_does_not_vouch_for_others(known: int, dirty: float) -> None:
    rng = np.random.default_rng(0)
    normal, knot = rng.normal(size=(2_000, 4)), 4.0 + 0.3 * rng.normal(size=(60, 4))
    learned = np.concatenate([normal, knot[:known]]).astype(np.float32)
    centres = Centres.learn(learned, 8, seed=0).refined(learned, 1024, seed=0, dirty=dirty)
    ops, others = NumpyOps(), rng.normal(size=(1_000, 4))
    for judge in (centres.suspicion, centres.score):
        assert judge(ops, knot[40:]).min() > np.quantile(judge(ops, others), 0.99)


def test_a_row_is_compared_with_what_is_usual_near_it() -> None:
    rng = np.random.default_rng(0)
    dense, wide = 0.05 * rng.normal(size=(2_000, 2)), 5.0 + rng.normal(size=(2_000, 2))
    learned = np.concatenate([dense, wide]).astype(np.float32)
    first = Centres.learn(learned, 8, seed=0)
    ops, angle = NumpyOps(), rng.uniform(0.0, 2.0 * np.pi, 200)
    beside = 0.2 * np.column_stack([np.cos(angle), np.sin(angle)])
    others = 5.0 + rng.normal(size=(2_000, 2))
    refined = first.refined(learned, 256, seed=0)

    def share_above(judge: Callable[[NumpyOps, Floats], Floats]) -> float:
        return float((judge(ops, beside)[:, 0, None] > judge(ops, others)[:, 0]).mean())

    assert share_above(refined.score) > share_above(refined.suspicion) + 0.1
    assert np.array_equal(first.score(ops, beside), first.suspicion(ops, beside))


def test_the_slope_is_the_derivative_of_the_distance() -> None:
    pytest.importorskip("keras")
    X = rows()[:5]
    centres = Centres.learn(rows().astype(np.float32), 30, seed=0)
    found = np.array(
        centres.distance_slope(KerasOps(dtype="float64"), KerasOps(dtype="float64").constant(X))
    )
    for column in range(3):
        step = np.zeros(3)
        step[column] = 1e-5
        rise = centres.distance(NumpyOps(), X + step) - centres.distance(NumpyOps(), X - step)
        assert found[:, column] == pytest.approx(rise[:, 0] / 2e-5, rel=1e-4, abs=1e-4)
