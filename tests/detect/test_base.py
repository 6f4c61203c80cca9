"""The inputs of a detector are checked in one place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.detect import Calibration
from shroff.detect.base import (
    as_matrix,
    draw_rows,
    scoring_matrix,
    training_labels,
    training_matrix,
)
from shroff.detect.rules import Rules
from shroff.errors import ConfigurationError, DataError, NotFitted
from shroff.evaluate import average_precision


def scored_labels(y: npt.ArrayLike, rows: int) -> object:
    """Labels that a calibration learns from."""
    return Calibration.fit(np.arange(rows), y)


def measured_labels(y: npt.ArrayLike, rows: int) -> object:
    """Labels that scores are judged by."""
    return average_precision(np.asarray(y), np.arange(rows))


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(2, 70))
def test_drawn_rows_keep_all_frauds_up_to_half(fraud: list[bool], most: int) -> None:
    labels = np.array(fraud)
    rows = draw_rows(labels, most)
    assert len(rows) == len(set(rows)) == min(most, len(fraud))
    assert (np.diff(rows) > 0).all()
    assert labels[rows].sum() >= min(labels.sum(), most // 2)
    assert (~labels[rows]).sum() >= min((~labels).sum(), most // 2)


def test_numbers_become_float32_and_missing_stays() -> None:
    matrix = as_matrix([[1, np.nan]])
    assert matrix.dtype == np.float32
    assert np.isnan(matrix[0, 1])


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [[]], [["text"]], np.zeros((2, 2, 2))])
def test_what_is_not_a_matrix_is_refused(wrong: object) -> None:
    with pytest.raises(DataError, match="expected X"):
        as_matrix(wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_matrix_to_learn_from_has_rows_and_finite_numbers() -> None:
    with pytest.raises(DataError, match="empty X"):
        training_matrix(np.zeros((0, 2)), {})
    with pytest.raises(DataError, match="column 1 of X holds infinite"):
        training_matrix([[0, np.inf]], {})


@pytest.mark.parametrize("code", [-1, 3, 0.5, np.nan])
def test_a_nominal_column_holds_codes(code: float) -> None:
    assert training_matrix([[2]], {0: 3}).tolist() == [[2]]
    with pytest.raises(DataError, match="nominal with 3 codes"):
        training_matrix([[code]], {0: 3})
    with pytest.raises(DataError, match="nominal column 1 is not in X"):
        training_matrix([[0]], {1: 3})


@pytest.mark.parametrize("check", [training_labels, scored_labels, measured_labels])
@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0.0, 1.0, np.nan], "got none in some rows: leave out those"),
        ([0, 1, 2], "labels 0 or 1 in y, got others"),
        (["genuine", "fraud", "fraud"], "say which is fraud"),
    ],
)
def test_labels_are_checked_alike_wherever_they_come_in(
    check: Callable[[npt.ArrayLike, int], object], labels: list[object], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        check(np.array(labels), 3)


def test_labels_are_two_classes_one_per_row() -> None:
    assert training_labels(np.array([0, 1, 1], dtype=np.int8), 3).tolist() == [False, True, True]
    with pytest.raises(ConfigurationError, match="pass y"):
        training_labels(None, 3)
    with pytest.raises(DataError, match=r"shape \[3\]"):
        training_labels([0, 1], 3)
    with pytest.raises(DataError, match="labels 0 or 1"):
        training_labels([0, 1, 2], 3)
    with pytest.raises(DataError, match="both fraud and genuine"):
        training_labels([1, 1, 1], 3)


def test_scoring_needs_the_columns_of_fit() -> None:
    detector = Rules(["a", "b"])
    with pytest.raises(NotFitted, match="call fit first"):
        scoring_matrix(detector, [[0, 1]])
    detector.fit(np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(DataError, match="the 2 columns of fit, got 3"):
        scoring_matrix(detector, [[0, 1, 1]])
