"""The contract suite of detectors, for ours and for yours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from sklearn.base import clone

from shroff.arrays import Labels, Matrix, Scores
from shroff.detect.base import ALL_NUMERIC, Detector, training_labels, training_matrix
from shroff.detect.graph import INPUT, OUTPUT
from shroff.errors import ConfigurationError, NotFitted

TOLERANCE = 1e-5
"""Largest difference between two scores of one row, relative to the score where that is above 1."""


class DetectorCheckFailed(AssertionError):
    """A detector breaks the contract; the message says which clause, and how."""


@dataclass(frozen=True)
class _Case:
    """A detector under test: unfitted, fitted, its training rows and their scores."""

    template: Detector
    fitted: Detector
    X: Matrix
    fraud: Labels
    nominal: Mapping[int, int]
    scores: Scores

    def fail(self, sentence: str) -> DetectorCheckFailed:
        return DetectorCheckFailed(f"{type(self.template).__name__} {sentence}")


def check_detector(
    detector: Detector,
    X: Matrix | None = None,
    y: npt.ArrayLike | None = None,
    *,
    nominal: Mapping[int, int] = ALL_NUMERIC,
) -> None:
    """Raise DetectorCheckFailed at the first clause of the contract that `detector` breaks.

    `detector` is unfitted and stays so. `X` [rows, columns] and `y` [rows] are training rows whose
    frauds can be separated; by default 600 simulated payments with 30 planted frauds, missing
    values and a nominal column (0/1 columns for a detector with conditions).

    >>> from shroff.detect import Rules
    >>> check_detector(Rules(["amount > 50000", "card_count_1d > 3"]))
    """
    if (X is None) != (y is None):
        raise ConfigurationError("expected both X and y or neither, got one of them")
    if X is None or y is None:
        X, y, nominal = planted(len(detector.conditions))
    matrix = training_matrix(X, nominal)
    fraud = training_labels(y, len(matrix))
    _check_description(detector)
    _check_parameters(detector)
    _check_unfitted(clone(detector), matrix)
    fitted = clone(detector)
    _check_fit(detector, fitted, matrix, fraud, nominal)
    case = _Case(detector, fitted, matrix, fraud, nominal, np.asarray(fitted.score(matrix)))
    for check in _CHECKS:
        check(case)


def planted(conditions: int = 0, *, seed: int = 0) -> tuple[Matrix, Labels, dict[int, int]]:
    """Simulated training rows with planted fraud: X float32 [600, columns], y [600], nominal codes
    by column.

    Without conditions, fraud shifts two of four numeric columns (5 % of the last are missing) and
    favours the last of five codes. With conditions, there are that many 0/1 columns.

    >>> X, y, nominal = planted()
    >>> X.shape, int(y.sum()), nominal
    ((600, 5), 30, {4: 5})
    """
    rng = np.random.default_rng(seed)
    fraud = rng.permutation(np.arange(600) < 30)
    if conditions:
        holds = rng.random((600, conditions)) < np.where(fraud, 0.8, 0.1)[:, None]
        return holds.astype(np.float32), fraud, {}
    numbers = rng.normal(size=(600, 4))
    numbers[fraud, :2] += 4.0
    numbers[rng.random(600) < 0.05, 3] = np.nan
    codes = np.where(fraud & (rng.random(600) < 0.7), 4, rng.integers(0, 5, size=600))
    return np.column_stack([numbers, codes]).astype(np.float32), fraud, {4: 5}


def _check_description(detector: Detector) -> None:
    kind = type(detector)
    if not isinstance(getattr(detector, "name", None), str) or not detector.name.isidentifier():
        raise DetectorCheckFailed(
            f"{kind.__name__} needs a class attribute `name`, such as 'boosted_trees'"
        )
    if not isinstance(getattr(detector, "needs_labels", None), bool):
        raise DetectorCheckFailed(
            f"{kind.__name__} needs a class attribute `needs_labels`, True or False"
        )


def _check_parameters(detector: Detector) -> None:
    given = detector.get_params(deep=False)
    kept = type(detector)(**given).get_params(deep=False)
    changed = [name for name, value in given.items() if kept[name] is not value]
    if changed:
        raise DetectorCheckFailed(
            f"{type(detector).__name__} changes the parameter `{changed[0]}`: a constructor only "
            "stores"
        )


def _check_unfitted(detector: Detector, matrix: Matrix) -> None:
    calls: dict[str, Callable[[], object]] = {
        "score": lambda: detector.score(matrix),
        "to_onnx": detector.to_onnx,
    }
    for verb, call in calls.items():
        try:
            call()
        except NotFitted:
            continue
        raise DetectorCheckFailed(
            f"{type(detector).__name__}.{verb} should raise NotFitted before fit"
        )


def _check_fit(
    detector: Detector, fitted: Detector, matrix: Matrix, fraud: Labels, nominal: Mapping[int, int]
) -> None:
    kind, given, before = type(detector).__name__, matrix.copy(), dict(vars(fitted))
    if fitted.fit(matrix, fraud, nominal=nominal) is not fitted:
        raise DetectorCheckFailed(f"{kind}.fit should return the detector itself")
    if not np.array_equal(given, matrix, equal_nan=True):
        raise DetectorCheckFailed(f"{kind}.fit changes the X it was given")
    if any(getattr(fitted, name) is not value for name, value in before.items()):
        raise DetectorCheckFailed(
            f"{kind}.fit changes a parameter: store what it learns under another name"
        )
    odd = [name for name in vars(fitted) if name not in before and not name.endswith("_")]
    if odd:
        raise DetectorCheckFailed(f"{kind}.fit sets `{odd[0]}`: a learned name ends in `_`")


def _check_scores(case: _Case) -> None:
    if case.scores.dtype != np.float64 or case.scores.shape != case.fraud.shape:
        raise case.fail(
            f"should score in float64 [{len(case.fraud)}], got {case.scores.dtype} "
            f"{list(case.scores.shape)}"
        )
    if not np.isfinite(case.scores).all():
        raise case.fail("gives scores that are not finite")
    if case.scores.min() == case.scores.max():
        raise case.fail("gives every row the same score")


def _check_direction(case: _Case) -> None:
    if case.scores[case.fraud].mean() <= case.scores[~case.fraud].mean():
        raise case.fail("scores fraud below genuine on average: higher must be more suspicious")


def _check_order(case: _Case) -> None:
    order = np.random.default_rng(0).permutation(len(case.X))
    if not _close(case.fitted.score(case.X[order]), case.scores[order]):
        raise case.fail("gives a row another score when the rows come in another order")


def _check_single_rows(case: _Case) -> None:
    rows = range(0, len(case.X), max(1, len(case.X) // 50))
    alone = np.concatenate([case.fitted.score(case.X[row : row + 1]) for row in rows])
    if not _close(alone, case.scores[rows]):
        raise case.fail("gives a row another score alone than in a batch")


def _check_repeatable(case: _Case) -> None:
    again = clone(case.template).fit(case.X, case.fraud, nominal=case.nominal)
    if not _close(again.score(case.X), case.scores):
        raise case.fail(
            "learns something else from the same rows: every random choice needs its seed"
        )


def _check_onnx(case: _Case) -> None:
    model = case.fitted.to_onnx()
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in (*session.get_inputs(), *session.get_outputs())]
    if names != [INPUT, OUTPUT]:
        raise case.fail(f"exports a graph from and to {names}: expected ['{INPUT}', '{OUTPUT}']")
    for rows in (len(case.X), 1):
        (scores,) = session.run([OUTPUT], {INPUT: case.X[:rows]})
        if scores.shape != (rows,) or scores.dtype != np.float32:
            raise case.fail(
                f"exports scores {scores.dtype} {list(scores.shape)}: expected float32 [{rows}]"
            )
        if not _close(scores, case.scores[:rows]):
            raise case.fail(f"exports a graph that scores otherwise, by more than {TOLERANCE}")


def _close(left: npt.NDArray[np.floating], right: Scores) -> bool:
    return bool(np.all(np.abs(left - right) <= TOLERANCE * np.maximum(1.0, np.abs(right))))


_CHECKS: tuple[Callable[[_Case], None], ...] = (
    _check_scores,
    _check_direction,
    _check_order,
    _check_single_rows,
    _check_repeatable,
    _check_onnx,
)
