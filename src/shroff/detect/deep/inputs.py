"""A network's inputs from a detector's matrix: scaled numbers, missing flags, one-hot codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import numpy as np

from shroff.arrays import Floats, Matrix
from shroff.detect.deep.ops import NumpyOps, Ops, Tensor
from shroff.detect.deep.piecewise import PiecewiseLinear
from shroff.detect.deep.quantiles import quantiles
from shroff.detect.deep.surprises import surprises
from shroff.detect.rarity import Side
from shroff.errors import ConfigurationError

Scaling = Literal["z-score", "quantile", "surprise"]


@dataclass(frozen=True)
class Inputs:
    """The encoding of each column of `X`, learned from normal rows.

    A numeric column is standardised by mean and standard deviation, or scored by its quantiles or
    surprises; `side="upper"` then raises values below 0 to 0. A missing value becomes 0, and a
    column that had missing values in training gets a missing indicator. A nominal column becomes
    one-hot, scaled so that two random rows differ by it as much as by a numeric column: the
    network's first layer learns the embedding.

    >>> inputs = Inputs.learn(np.array([[1.0, 0], [3.0, 1]], dtype=np.float32), {1: 2})
    >>> inputs.width, inputs.encode(np.array([[3.0, 1]], dtype=np.float32)).round(3).tolist()
    (3, [[1.0, 0.0, 1.414]])
    """

    numeric: tuple[int, ...]
    mean: Floats
    inverse_std: Floats
    gaps: tuple[int, ...]
    """Positions in `numeric` of the columns that had missing values."""
    tables: Mapping[int, Floats]
    """Nominal column to its scaled one-hot codes [codes, codes]."""
    scores: PiecewiseLinear | None = None
    """Replaces mean and standard deviation with `scaling="quantile"` or `"surprise"`."""
    side: Side = "both"

    @classmethod
    def learn(cls, matrix: Matrix, nominal: Mapping[int, int]) -> Self:
        """The inputs of the rows of `matrix`, checked before by `training_matrix`."""
        return cls.over(lambda: iter([matrix]), matrix.shape[1], nominal)

    def read_as(self, scaling: Scaling, side: Side, rows: Matrix) -> Self:
        """The same inputs, scored among `rows` unless `scaling` is `"z-score"`; raises
        ConfigurationError if unknown.
        """
        if scaling not in get_args(Scaling) or side not in ("both", "upper"):
            raise ConfigurationError(
                "expected scaling 'z-score', 'quantile' or 'surprise' and side 'both' or 'upper', "
                f"got `{scaling}` and `{side}`"
            )
        if scaling == "z-score" or not self.numeric:
            return replace(self, side=side)
        values = rows[:, list(self.numeric)]
        found = quantiles(values) if scaling == "quantile" else surprises(values, side)
        return replace(self, scores=found, side=side)

    @classmethod
    def over(
        cls, read: Callable[[], Iterator[Matrix]], columns: int, nominal: Mapping[int, int]
    ) -> Self:
        """The same from a stream of rows, read twice: for the means, then for the deviations."""
        numeric = tuple(column for column in range(columns) if column not in nominal)
        count, total, square = (np.zeros(len(numeric)) for _ in range(3))
        codes = {column: np.zeros(nominal[column]) for column in sorted(nominal)}
        rows = 0
        for matrix in read():
            values = matrix[:, list(numeric)].astype(np.float64)
            missing = np.isnan(values)
            count += (~missing).sum(axis=0)
            total += np.where(missing, 0.0, values).sum(axis=0)
            rows += len(matrix)
            for column in codes:
                codes[column] += np.bincount(
                    matrix[:, column].astype(np.int64), minlength=nominal[column]
                )
        mean = total / np.maximum(count, 1)
        for matrix in read():
            values = matrix[:, list(numeric)].astype(np.float64)
            square += (np.where(np.isnan(values), 0.0, values - mean) ** 2).sum(axis=0)
        std = np.sqrt(square / np.maximum(count, 1))
        return cls(
            numeric=numeric,
            mean=mean,
            inverse_std=1.0
            / np.where(std > _CONSTANT_SHARE * np.maximum(1.0, np.abs(mean)), std, 1.0),
            gaps=tuple(int(at) for at in np.flatnonzero(count < rows)),
            tables={column: _one_hot(seen / rows) for column, seen in codes.items()},
        )

    @property
    def width(self) -> int:
        """Number of network inputs per row."""
        return (
            len(self.numeric) + len(self.gaps) + sum(len(table) for table in self.tables.values())
        )

    def formula(self, ops: Ops, x: Tensor) -> Tensor:
        """[rows, columns of X] to [rows, width]."""
        blocks = []
        if self.numeric:
            values = ops.columns(x, self.numeric)
            scaled = ops.known(self._scaled(ops, values))
            blocks.append(ops.relu(scaled) if self.side == "upper" else scaled)
            if self.gaps:
                blocks.append(ops.missing(ops.columns(values, self.gaps)))
        for column, table in self.tables.items():
            blocks.append(ops.lookup(ops.constant(table), ops.columns(x, [column])))
        return ops.concat(blocks)

    def _scaled(self, ops: Ops, values: Tensor) -> Tensor:
        if self.scores is not None:
            return self.scores.formula(ops, values)
        return ops.multiply(
            ops.add(values, ops.constant(-self.mean)), ops.constant(self.inverse_std)
        )

    def encode(self, matrix: Matrix) -> Floats:
        """`formula` in NumPy."""
        encoded: Floats = self.formula(NumpyOps(), matrix.astype(np.float64))
        return encoded


_CONSTANT_SHARE = 1e-7
"""A float32 column that varies by less than this share of its mean varies only by rounding."""


def _one_hot(shares: Floats) -> Floats:
    spread = 1.0 - float((shares**2).sum())
    scale = float(np.sqrt(spread)) if spread > _SINGLE_CODE_SPREAD else 1.0
    return np.eye(len(shares), dtype=np.float64) / scale


_SINGLE_CODE_SPREAD = 1e-3
"""Below this spread a nominal column is nearly constant, and scaling would inflate its codes."""
