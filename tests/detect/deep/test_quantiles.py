"""Numbers by their rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from shroff.arrays import Floats
from shroff.detect.deep.ops import NumpyOps
from shroff.detect.deep.quantiles import quantiles


def scored(train: Floats, values: Floats) -> Floats:
    column = np.asarray(train, dtype=np.float32)[:, None]
    found: Floats = quantiles(column).formula(
        NumpyOps(), np.asarray(values, dtype=np.float64)[:, None]
    )
    return found[:, 0]


def test_any_shape_becomes_normal() -> None:
    train = np.random.default_rng(0).lognormal(3.0, 2.0, 20_000)
    assert np.quantile(scored(train, train), [0.01, 0.1, 0.5, 0.9, 0.99]) == pytest.approx(
        norm.ppf([0.01, 0.1, 0.5, 0.9, 0.99]), abs=0.02
    )


def test_a_flag_scores_what_its_share_says() -> None:
    flag = (np.arange(1_000) < 20).astype(float)
    off, on = scored(flag, np.array([0.0, 1.0]))
    assert on == pytest.approx(norm.ppf(0.99), abs=1e-6)
    assert off == pytest.approx(norm.ppf(0.49), abs=1e-6)


def test_more_than_ever_seen_scores_more() -> None:
    train = np.random.default_rng(0).exponential(50.0, 5_000)
    most, twice = scored(train, np.array([train.max(), 2 * train.max()]))
    assert twice > most + 0.1


def test_gaps_stay_gaps_and_a_constant_column_scores_its_distance() -> None:
    assert scored(np.array([3.0, 3.0, np.nan]), np.array([3.0, 5.0])).tolist() == [0.0, 2.0]
    assert np.isnan(scored(np.array([1.0, 2.0]), np.array([np.nan]))).all()


@given(
    arrays(np.float32, st.integers(1, 60), elements=st.integers(-9, 9)),
    st.lists(st.floats(-20, 20), min_size=2),
)
def test_it_never_falls(train: Floats, values: list[float]) -> None:
    assert np.all(np.diff(scored(train, np.sort(values))) >= -1e-9)
