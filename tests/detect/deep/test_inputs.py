"""The encoding of a matrix for a network."""

from __future__ import annotations

import numpy as np
import pytest

from shroff.detect.deep.inputs import Inputs
from shroff.errors import ConfigurationError

NAN = float("nan")


def matrix(*rows: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(rows, dtype=np.float32)


def test_numbers_are_standardised_and_gaps_are_told() -> None:
    inputs = Inputs.learn(matrix([1.0, 5.0], [3.0, NAN], [5.0, 7.0]), {})
    encoded = inputs.encode(matrix([5.0, NAN], [NAN, 7.0]))
    assert encoded == pytest.approx(np.array([[np.sqrt(1.5), 0, 1], [0, 1, 0]]))


def test_a_constant_column_is_not_blown_up() -> None:
    inputs = Inputs.learn(matrix([1e6], [1e6], [1e6]), {})
    assert inputs.encode(matrix([1e6 + 2])).item() == 2.0


def test_a_column_without_values_counts_for_nothing() -> None:
    inputs = Inputs.learn(matrix([NAN, 1.0], [NAN, 2.0]), {})
    assert inputs.encode(matrix([NAN, 1.5])).tolist() == [[0.0, 0.0, 1.0]]


def test_a_nominal_column_weighs_as_much_as_a_numeric_one() -> None:
    codes = np.random.default_rng(0).integers(0, 4, size=(4000, 1)).astype(np.float32)
    encoded = Inputs.learn(codes, {0: 5}).encode(codes)
    assert encoded.shape == (4000, 5)
    assert encoded.var(axis=0).sum() == pytest.approx(1.0)


def test_a_code_that_training_rows_lack_is_like_no_other() -> None:
    inputs = Inputs.learn(matrix([1.0], [1.0], [2.0]), {0: 3})
    unseen, one = inputs.encode(matrix([0.0], [1.0]))
    assert unseen @ one == 0.0
    assert np.abs(unseen).sum() > 0


def test_one_side_counts_only_what_is_above_the_usual() -> None:
    X = matrix([1.0], [3.0], [5.0])
    upper = Inputs.learn(X, {}).read_as("z-score", "upper", X)
    assert upper.encode(X)[:, 0] == pytest.approx([0.0, 0.0, np.sqrt(1.5)])


@pytest.mark.parametrize(("scaling", "side"), [("rank", "both"), ("z-score", "lower")])
def test_an_unknown_reading_is_told(scaling: str, side: str) -> None:
    X = matrix([1.0], [2.0])
    with pytest.raises(
        ConfigurationError, match="expected scaling 'z-score', 'quantile' or 'surprise' and side"
    ):
        Inputs.learn(X, {}).read_as(scaling, side, X)  # type: ignore[arg-type]  # wrong on purpose
