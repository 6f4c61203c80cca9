"""Rows of numbers from lists, arrays, pandas or Polars tables, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from shroff.arrays import Array, Labels, Matrix
from shroff.errors import DataError


def as_matrix(X: npt.ArrayLike) -> Matrix:
    """`X` as float32 [rows, columns], missing values as NaN; raises DataError for anything but
    numbers.

    Text is refused even where it could be parsed as numbers.

    >>> as_matrix([[1, 2.5]])
    array([[1. , 2.5]], dtype=float32)
    >>> as_matrix([[1, "5411"]])
    Traceback (most recent call last):
    shroff.errors.DataError: expected X to hold numbers, got text in column 1: cast it to numbers,
    leave it out, ...
    """
    table: Any = X
    if hasattr(table, "toarray"):
        raise DataError("expected X as a dense matrix, got a sparse one: call its `toarray` first")
    if not (hasattr(table, "get_columns") or hasattr(table, "iloc")):
        return _shaped(_numbers(X))
    series = (
        table.get_columns()
        if hasattr(table, "get_columns")
        else [table.iloc[:, at] for at in range(table.shape[1])]
    )
    columns = [
        _column(column, f"`{name}`") for name, column in zip(table.columns, series, strict=True)
    ]
    return np.column_stack(columns) if columns else _shaped(np.empty(table.shape, dtype=np.float32))


def as_labels(y: npt.ArrayLike, rows: int) -> Labels:
    """`y` as boolean [rows], true is fraud; raises DataError for another shape or labels other than
    0 and 1.

    Two other values are refused as well: which of them is fraud would be a guess.

    >>> as_labels([0, 1], 2)
    array([False,  True])
    """
    labels = np.asarray(y)
    if labels.shape != (rows,):
        raise DataError(
            f"expected y of shape [{rows}], one label per row, got {list(labels.shape)}"
        )
    fraud: Labels = np.asarray(labels == 1)
    if np.all(fraud | (labels == 0)):
        return fraud
    if any(label is None or label != label for label in labels.tolist()):
        came = "none in some rows: leave out those that have no label yet"
    elif labels.dtype.kind == "f" and not np.array_equal(labels, np.round(labels)):
        came = "others. Unknown label type: continuous"
    elif len(set(labels.tolist())) > 2:
        came = (
            "others. Only binary classification is supported. The type of the target is multiclass"
        )
    else:
        came = 'others: say which is fraud, as in `y == "fraud"`'
    raise DataError(f"expected labels 0 or 1 in y, got {came}.")


def column_names(X: Any) -> npt.NDArray[np.object_] | None:
    """The names of a table's columns; None for rows without names."""
    names: Sequence[object] = list(getattr(X, "columns", ()))
    if not names or not all(isinstance(name, str) for name in names):
        return None
    return np.array(names, dtype=object)


def _column(column: Any, name: str) -> Matrix:
    """One column of a pandas or Polars table, whose type decides."""
    dtype = column.dtype
    numeric = dtype.is_numeric() if hasattr(dtype, "is_numeric") else dtype.kind in "uif"
    if numeric or str(dtype).lower() in ("bool", "boolean"):
        missing = {"na_value": np.nan} if hasattr(column, "iloc") else {}
        values = column.to_numpy(**missing, **({"dtype": np.float64} if missing else {}))
        return np.asarray(values, dtype=np.float32)
    if getattr(dtype, "kind", "") == "O" and str(dtype) == "object":
        return _objects(column.to_numpy(), name)
    raise _no_number(str(dtype), name)


def _numbers(X: Any) -> Array:
    try:
        rows = np.asarray(X)
        mixed = rows.dtype.kind in "US" and not isinstance(X, np.ndarray)
        rows = np.asarray(X, dtype=object) if mixed else rows
    except ValueError as error:
        raise DataError(
            "expected X of shape [rows, columns], got rows of unequal length"
        ) from error
    kind = rows.dtype.kind
    if kind == "c":
        raise DataError("expected real numbers in X, got complex ones: Complex data not supported")
    if kind == "O":
        columns = (
            [_objects(rows[:, at], str(at)) for at in range(rows.shape[1])]
            if rows.ndim == 2
            else []
        )
        return np.column_stack(columns) if columns else rows
    if kind not in "buif":
        raise _no_number("text" if kind in "US" else str(rows.dtype), "0")
    return rows


def _objects(values: Array, name: str) -> Matrix:
    """A column of type object, every value of which is checked."""
    for value in values:
        if not (value is None or isinstance(value, Real | np.number)) and str(value) != "<NA>":
            raise _no_number("text" if isinstance(value, str) else type(value).__name__, name)
    return np.array(
        [np.nan if not isinstance(value, Real | np.number) else value for value in values],
        np.float32,
    )


def _no_number(what: str, name: str) -> DataError:
    return DataError(
        f"expected X to hold numbers, got {what} in column {name}: cast it to numbers, leave it "
        "out, or let a `Preparation` make codes of it"
    )


def _shaped(rows: Array) -> Matrix:
    if rows.ndim != 2:
        raise DataError(
            f"expected X of shape [rows, columns], got {list(rows.shape)}. Reshape your data."
        )
    if rows.shape[1] == 0:
        shape = f"0 feature(s) (shape=({len(rows)}, 0)) while a minimum of 1 is required"
        raise DataError(f"expected X of shape [rows, columns], got {shape}.")
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, which `fit` refuses
        return np.asarray(rows, dtype=np.float32)
