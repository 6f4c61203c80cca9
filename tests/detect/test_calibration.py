"""Calibration: Platt's fit, and one formula for a batch and for one payment."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration

from shroff.detect.calibration import Calibration
from shroff.errors import BundleError, ConfigurationError, DataError

scores = st.floats(-1e6, 1e6) | st.floats(-50, 50)
calibrations = st.builds(Calibration, a=st.floats(1e-6, 1e3), b=st.floats(-100, 100))


@given(calibrations, st.lists(scores, min_size=1, max_size=40))
def test_one_score_has_the_bits_of_the_batch(calibration: Calibration, values: list[float]) -> None:
    batch = calibration.probability(values)
    assert [calibration.one(value) for value in values] == batch.tolist()
    spread = np.repeat(values, 3)[::3]  # strided memory
    assert calibration.probability(spread).tolist() == batch.tolist()


@given(calibrations, st.lists(scores, min_size=2, max_size=40))
def test_more_suspicious_is_never_less_probable(
    calibration: Calibration, values: list[float]
) -> None:
    rising = calibration.probability(sorted(values))
    assert np.all(np.diff(rising) >= 0)
    assert np.all((rising > 0) & (rising <= 1))


@given(st.floats(-600, 600))
def test_the_formula_is_the_logistic_function(score: float) -> None:
    expected = 1.0 / (1.0 + math.exp(-score))
    assert Calibration(a=1.0, b=0.0).one(score) == pytest.approx(expected, rel=2e-15)


def test_endless_scores_saturate() -> None:
    calibration = Calibration(a=2.0, b=-1.0)
    assert calibration.one(math.inf) == 1.0
    assert 0.0 < calibration.one(-math.inf) < 1e-300
    assert calibration.probability([-1e308, 1e308]).tolist() == [calibration.one(-1e308), 1.0]


def noisy(rows: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=rows)
    return score, rng.random(rows) < 1.0 / (1.0 + np.exp(-(1.7 * score - 3.0)))


def test_it_finds_the_planted_slope_and_offset() -> None:
    fitted = Calibration.fit(*noisy(200_000))
    assert fitted.a == pytest.approx(1.7, abs=0.05)
    assert fitted.b == pytest.approx(-3.0, abs=0.05)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e4, 7e5), (1e-6, -3.0)])
def test_it_agrees_with_scikit_learn_on_any_scale(scale: float, shift: float) -> None:
    score, fraud = noisy(3000)
    ours = Calibration.fit(score * scale + shift, fraud).probability(score * scale + shift)
    theirs = _SigmoidCalibration().fit(score, fraud).predict(score)
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_few_distinct_scores_get_the_share_of_fraud() -> None:
    score = np.repeat([0.0, 1.0], [9000, 1000])
    fraud = np.concatenate([np.arange(9000) < 90, np.arange(1000) < 400])
    fitted = Calibration.fit(score, fraud)
    assert fitted.one(0.0) == pytest.approx(0.01, abs=2e-4)
    assert fitted.one(1.0) == pytest.approx(0.4, abs=2e-3)


@pytest.mark.parametrize("score", [[4.0, 3.0, 1.0, 0.0], [0.1, 0.1, 0.1, 0.1]])
def test_scores_that_do_not_rise_with_fraud_all_get_its_share(score: list[float]) -> None:
    fitted = Calibration.fit(score, [0, 0, 1, 1])
    assert fitted.a > 0
    assert fitted.probability(score) == pytest.approx(0.5, abs=1e-5)


def test_separable_scores_keep_a_finite_slope() -> None:
    fitted = Calibration.fit([0.0, 1.0, 2.0, 10.0, 11.0], [0, 0, 0, 1, 1])
    assert fitted.probability([1.0, 10.5]).tolist() == pytest.approx([0.2, 0.75], abs=0.01)


def test_unusable_scores_are_refused() -> None:
    with pytest.raises(DataError, match="one label per score"):
        Calibration.fit([1.0, 2.0], [1])
    with pytest.raises(DataError, match="finite"):
        Calibration.fit([1.0, math.nan], [0, 1])
    with pytest.raises(DataError, match="both fraud and genuine"):
        Calibration.fit([1.0, 2.0], [0, 0])
    calibration = Calibration(a=1.0, b=0.0)
    with pytest.raises(DataError, match="NaN"):
        calibration.one(math.nan)
    with pytest.raises(DataError, match="NaN"):
        calibration.probability([0.0, math.nan])


@pytest.mark.parametrize(
    ("a", "b"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1.0, math.nan)]
)
def test_a_slope_that_does_not_rise_is_refused(a: float, b: float) -> None:
    with pytest.raises(ConfigurationError, match="slope above 0"):
        Calibration(a=a, b=b)
    with pytest.raises(BundleError, match="expected a calibration"):
        Calibration.from_json({"a": a, "b": b})


@given(calibrations)
def test_json_keeps_every_bit(calibration: Calibration) -> None:
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration
