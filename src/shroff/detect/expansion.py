"""Inputs of detectors with weights: missing values filled and flagged, codes one-hot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from shroff.arrays import Floats, Ints, Matrix
from shroff.detect.graph import DOUBLE, INPUT, INT64, Graph


@dataclass(frozen=True, eq=False)
class Expansion:
    """Numeric columns with missing values at 0 (the mean, after `Preparation`), then their missing
    indicators, then nominal columns one-hot.

    A column that had no missing values in training gets no indicator; a missing value then counts
    as the mean. `nominal` maps a column to its number of codes.

    >>> import numpy as np
    >>> X = np.array([[0.5, 1], [np.nan, 0]], dtype=np.float32)
    >>> Expansion.learn(X, {1: 2}).design(X).toarray()
    array([[0.5, 0. , 0. , 1. ],
           [0. , 1. , 1. , 0. ]])
    """

    numeric: Ints
    gaps: Ints
    """Positions in `numeric` of the columns with a missing indicator."""
    nominal: Mapping[int, int]

    @classmethod
    def learn(cls, matrix: Matrix, nominal: Mapping[int, int]) -> Self:
        """The expansion of training rows [rows, columns]."""
        numeric = np.setdiff1d(np.arange(matrix.shape[1]), list(nominal))
        gaps = np.flatnonzero(np.isnan(matrix[:, numeric]).any(axis=0))
        return cls(numeric, gaps, {column: nominal[column] for column in sorted(nominal)})

    @property
    def width(self) -> int:
        """The number of columns of the design."""
        return len(self.numeric) + len(self.gaps) + sum(self.nominal.values())

    def design(self, matrix: Matrix) -> Floats | sparse.csr_matrix:
        """The expanded rows, float64 [rows, width]; sparse when there are nominal columns."""
        dense = np.hstack(self._numbers(matrix))
        if not self.nominal:
            return dense
        rows, columns = len(matrix), len(self.nominal)
        ends = np.arange(0, rows * columns + 1, columns)
        hot = sparse.csr_matrix(
            (np.ones(rows * columns), self._codes(matrix).ravel(), ends),
            shape=(rows, sum(self.nominal.values())),
        )
        return sparse.hstack([sparse.csr_matrix(dense), hot], format="csr")

    def dot(self, matrix: Matrix, weights: Floats) -> Floats:
        """`design(matrix) @ weights`, row by row: [width, outputs] to float64 [rows, outputs]."""
        values, missing = self._numbers(matrix)
        numbers, gaps, codes = self._split(weights)
        total: Floats = values @ numbers + missing @ gaps + codes[self._codes(matrix)].sum(axis=1)
        return total

    def dot_graph(self, graph: Graph, weights: Floats) -> str:
        """`dot` in a graph: the name of a double [N, outputs]."""
        numbers, gaps, codes = self._split(weights)
        terms = self._numeric_terms(graph, numbers, gaps) if len(self.numeric) else []
        if self.nominal:
            terms.append(self._nominal_term(graph, codes))
        return graph.total(*terms)

    def _numbers(self, matrix: Matrix) -> tuple[Floats, Floats]:
        values = matrix[:, self.numeric].astype(np.float64)
        missing = np.isnan(values)
        return np.where(missing, 0.0, values), missing[:, self.gaps].astype(np.float64)

    def _split(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        numbers, gaps, codes = np.split(weights, np.cumsum([len(self.numeric), len(self.gaps)]))
        return numbers, gaps, codes

    def _offsets(self) -> Ints:
        # the place of each nominal column's first code among all codes
        counts = np.array([0, *self.nominal.values()], dtype=np.int64)
        return np.cumsum(counts)[:-1]

    def _codes(self, matrix: Matrix) -> Ints:
        return matrix[:, list(self.nominal)].astype(np.int64) + self._offsets()

    def _numeric_terms(self, graph: Graph, numbers: Floats, gaps: Floats) -> list[str]:
        values = INPUT
        if self.nominal:
            values = graph.add("Gather", INPUT, graph.constant(self.numeric), axis=1)
        values = graph.add("Cast", values, to=DOUBLE)
        missing = graph.add("IsNaN", values)
        known = graph.add("Where", missing, graph.constant(np.float64(0.0)), values)
        terms = [graph.add("MatMul", known, graph.constant(numbers))]
        if len(self.gaps):
            weights = np.zeros_like(numbers)
            weights[self.gaps] = gaps
            terms.append(
                graph.add("MatMul", graph.add("Cast", missing, to=DOUBLE), graph.constant(weights))
            )
        return terms

    def _nominal_term(self, graph: Graph, codes: Floats) -> str:
        places = graph.add("Gather", INPUT, graph.constant(np.array(list(self.nominal))), axis=1)
        places = graph.add(
            "Add", graph.add("Cast", places, to=INT64), graph.constant(self._offsets())
        )
        hot = graph.add("Gather", graph.constant(codes), places)
        return graph.add("ReduceSum", hot, graph.constant(np.array([1])), keepdims=0)
