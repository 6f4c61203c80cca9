"""Numbers by how few rows are about as large."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shroff.arrays import Floats
from shroff.detect.deep.ops import NumpyOps
from shroff.detect.deep.surprises import surprises
from shroff.detect.rarity import Side


def scored(train: Floats, values: Floats, side: Side = "both") -> Floats:
    column = np.asarray(train, dtype=np.float32)[:, None]
    found: Floats = surprises(column, side).formula(
        NumpyOps(), np.asarray(values, dtype=np.float64)[:, None]
    )
    return found[:, 0]


def test_whole_numbers_score_what_their_share_says() -> None:
    counts = np.repeat([0.0, 1.0, 2.0, 7.0], [900, 60, 30, 10])
    assert scored(counts, np.array([0.0, 1.0, 2.0, 7.0])) == pytest.approx(
        np.log(901.0 / np.array([901.0, 61.0, 31.0, 11.0]))
    )


def test_the_edge_of_the_fullest_bin_is_usual() -> None:
    train = np.random.default_rng(0).exponential(50.0, 5_000)
    assert scored(train, np.array([train.min()])) == pytest.approx(0.0)


def test_a_value_that_no_row_is_near_is_the_most_surprising() -> None:
    two = np.concatenate([np.random.default_rng(0).normal(at, 0.1, 500) for at in (0.0, 9.0)])
    between, inside = scored(two, np.array([4.5, 9.0]))
    assert abs(between) > 5.0 > 1.0 > abs(inside)


def test_no_size_outweighs_all_else() -> None:
    train = np.random.default_rng(0).exponential(50.0, 5_000)
    most, twice, huge = scored(train, np.array([train.max(), 2 * train.max(), 3e38]))
    assert 6.0 < most < twice == huge < 8.0


def test_one_side_takes_all_below_the_mean_for_usual() -> None:
    train = np.random.default_rng(0).normal(size=5_000)
    low, usual, high = scored(train, np.array([-5.0, train.mean(), 5.0]), "upper")
    assert [low, usual] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert high > 5.0
    low, high = scored(train, np.array([-5.0, 5.0]))
    assert low < -5.0 < 5.0 < high


def test_gaps_stay_gaps_and_a_constant_column_scores_its_distance() -> None:
    assert scored(np.array([3.0, 3.0, np.nan]), np.array([3.0, 5.0])).tolist() == [0.0, 2.0]
    assert np.isnan(scored(np.array([1.0, 2.0]), np.array([np.nan]))).all()
    assert scored(np.array([np.nan]), np.array([0.0])).tolist() == [0.0]


@given(
    arrays(np.float32, st.integers(1, 60), elements=st.floats(-(2.0**99), 2.0**99, width=32)),
    arrays(np.float32, st.integers(1, 9), elements=st.floats(-(2.0**127), 2.0**127, width=32)),
    st.sampled_from(["both", "upper"]),
)
def test_it_is_bounded_by_the_number_of_rows(train: Floats, values: Floats, side: Side) -> None:
    if train.min() < train.max():
        assert np.abs(scored(train, values, side)).max() <= np.log(len(train) + 1.0) + 1e-6
