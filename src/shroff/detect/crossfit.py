"""Scores of training rows by clones that did not learn from them, to calibrate on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from shroff.arrays import Ints, Labels, Matrix, Scores
from shroff.detect.base import ALL_NUMERIC, Detector, training_labels, training_matrix
from shroff.detect.concurrency import at_once, run_at_once
from shroff.errors import ConfigurationError, DataError

D = TypeVar("D", bound=Detector)


def out_of_fold_scores(
    detector: Detector,
    X: Matrix,
    y: npt.ArrayLike,
    *,
    nominal: Mapping[int, int] = ALL_NUMERIC,
    folds: int = 3,
    seed: int = 0,
) -> Scores:
    """Score each row of `X` [rows, columns] with a clone of `detector` that did not learn from it.

    Rows are shuffled by `seed` into folds of equal fraud share (`folds_of` says how many); the
    scores, float64 [rows], are in the order of `X`. `detector` itself stays unfitted. Raises
    ConfigurationError for fewer than 2 folds, DataError for labels of one class, fewer than 2
    frauds or genuine rows, or scores that are not finite.

    As `CalibratedClassifierCV(ensemble=False)` of scikit-learn does before it calibrates.

    >>> from shroff.detect import Rules
    >>> out_of_fold_scores(Rules(["amount > 50000"]), [[0], [1], [0], [1]], [0, 1, 0, 1], folds=2)
    array([0., 1., 0., 1.])
    """
    dealt = stratified_folds(y, len(X), folds, seed=seed, purpose="learn from")
    return held_out_scores(detector, X, y, dealt, nominal=nominal)[1]


def stratified_folds(
    y: npt.ArrayLike, n_rows: int, folds: int, *, seed: int, purpose: str
) -> Iterable[tuple[Ints, Ints]]:
    """Of each fold, of equal fraud share, the rows to learn from and those held out.

    Args:
        y: the labels [n_rows].
        folds: how many there may be; `folds_of` says how many there are.
        purpose: what the rows are for, as an error says it.

    Raises:
        ConfigurationError: fewer than 2 folds.
        DataError: labels of one class, fewer than 2 frauds or genuine rows.
    """
    if folds < 2:
        raise ConfigurationError(f"expected at least 2 folds, got {folds}")
    fraud = training_labels(y, n_rows)
    folds = folds_of(fraud, folds)
    if folds < 2:
        raise DataError(
            f"expected at least 2 frauds and 2 genuine rows to {purpose}, got 1 of one: use more "
            "payments"
        )
    split = StratifiedKFold(folds, shuffle=True, random_state=seed).split
    return cast(Iterable[tuple[Ints, Ints]], split(np.empty((n_rows, 0)), fraud))


def held_out_scores(
    detector: Detector,
    X: Matrix,
    y: npt.ArrayLike,
    folds: Iterable[tuple[Ints, Ints]],
    *,
    nominal: Mapping[int, int] = ALL_NUMERIC,
) -> tuple[Ints, Scores]:
    """Score the rows that folds hold out, each with a clone of `detector` that learned from the
    fold's other rows.

    Args:
        X, y: prepared rows [rows, columns] and their labels.
        folds: row numbers to learn from and row numbers to score; a row is scored by one fold at
            most.

    Returns:
        The numbers of the scored rows, ascending, and their scores.

    Raises:
        DataError: scores that are not finite.

    >>> from shroff.detect import Rules
    >>> folds = [(np.array([0, 1]), np.array([3])), (np.array([0, 1, 3]), np.array([2]))]
    >>> held_out_scores(Rules(["amount > 50000"]), [[0], [1], [0], [1]], [0, 1, 0, 1], folds)
    (array([2, 3]), array([0., 1.]))
    """
    return _fit_all(detector, X, y, folds, nominal, whole=False)[1:]


def fit_and_hold_out(
    detector: D,
    X: Matrix,
    y: npt.ArrayLike,
    folds: Iterable[tuple[Ints, Ints]],
    *,
    nominal: Mapping[int, int] = ALL_NUMERIC,
    repeats: Ints | None = None,
) -> tuple[D, Ints, Scores]:
    """`detector` fitted on all rows, and what `held_out_scores` gives: as many of these fits at the
    same time as the cores of this process allow (`Detector.cores_per_fit`).

    The results are those of one fit after the other. Each row is learned from as often as
    `repeats` [rows] says, by default once, and scored once.

    >>> from shroff.detect import Rules
    >>> folds = [(np.array([0, 1]), np.array([3]))]
    >>> rules, rows, scores = fit_and_hold_out(
    ...     Rules(["amount > 50000"]), [[0], [1], [0], [1]], [0, 1, 0, 1], folds
    ... )
    >>> rules.score([[1]]), rows, scores
    (array([1.]), array([3]), array([1.]))
    """
    return _fit_all(detector, X, y, folds, nominal, whole=True, repeats=repeats)


def _fit_all(
    detector: D,
    X: Matrix,
    y: npt.ArrayLike,
    folds: Iterable[tuple[Ints, Ints]],
    nominal: Mapping[int, int],
    *,
    whole: bool,
    repeats: Ints | None = None,
) -> tuple[D, Ints, Scores]:
    matrix = training_matrix(X, nominal)
    fraud = training_labels(y, len(matrix))
    scores = np.zeros(len(matrix))
    judged = np.zeros(len(matrix), dtype=np.bool_)

    def repeated(learn: Ints) -> Ints:
        return learn if repeats is None else np.repeat(learn, repeats[learn])

    def hold_out(learn: Ints, hold: Ints) -> None:
        learn = repeated(learn)
        fitted = clone(detector).fit(rows_of(matrix, learn), fraud[learn], nominal=nominal)
        scores[hold] = fitted.score(rows_of(matrix, hold))
        judged[hold] = True

    def fit_whole() -> None:
        learn = repeated(np.arange(len(matrix)))
        labels = fraud[learn] if detector.needs_labels else None
        detector.fit(rows_of(matrix, learn), labels, nominal=nominal)

    # the longest first: the last one then ends soon after the others
    parts = sorted(folds, key=lambda fold: -len(fold[0]))
    jobs = [partial(hold_out, *fold) for fold in parts]
    run_at_once([fit_whole, *jobs] if whole else jobs, at_once(detector))
    if not np.isfinite(scores).all():
        raise DataError(f"expected finite scores, got others from {type(detector).__name__}")
    rows = np.flatnonzero(judged)
    return detector, rows, scores[rows]


def rows_of(matrix: Matrix, rows: Ints) -> Matrix:
    """The `rows` of `matrix`: a view of it where they follow each other, as those of folds in time
    do.
    """
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return matrix[rows[0] : rows[-1] + 1]
    return matrix[rows]


def folds_of(fraud: Labels, folds: int) -> int:
    """The number of folds: `folds`, or fewer where there are fewer frauds or genuine rows.

    >>> folds_of(np.array([True, True, False, False, False]), 3)
    2
    """
    return min(folds, int(np.count_nonzero(fraud)), int(np.count_nonzero(~fraud)))
