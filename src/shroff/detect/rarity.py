"""Inputs of detectors without labels: how unusual each value is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from shroff.arrays import Floats, Floats32, Ints, Matrix
from shroff.detect.graph import DOUBLE, INPUT, INT64, Graph
from shroff.errors import ConfigurationError

Side = Literal["both", "upper"]


@dataclass(frozen=True, eq=False)
class Rarity:
    """Every input as a number: numeric columns as they are, nominal ones as the surprise of their
    code.

    Missing numbers count as 0, the mean after `Preparation`; with `side="upper"` so do values below
    it, because only high values are suspicious. The surprise is -log of a code's smoothed share of
    the training rows, standardised over them; an unseen code has the highest.

    >>> X = np.array([[-1, 1], [0.5, 1], [np.nan, 1], [2, 2]], dtype=np.float32)
    >>> Rarity.learn(X, {1: 3}, side="upper").apply(X).round(2)
    array([[0.  , 0.  ],
           [0.5 , 0.  ],
           [0.  , 0.  ],
           [2.  , 1.73]])
    """

    numeric: Ints
    surprises: Mapping[int, Floats]
    """The surprise of each code, by nominal column."""
    side: Side

    @classmethod
    def learn(cls, matrix: Matrix, nominal: Mapping[int, int], *, side: Side) -> Self:
        """From training rows [rows, columns]; raises ConfigurationError for an unknown `side`."""
        if side not in ("both", "upper"):
            raise ConfigurationError(f"expected the side 'both' or 'upper', got `{side}`")
        numeric = np.setdiff1d(np.arange(matrix.shape[1]), list(nominal))
        surprises = {
            column: _surprise(matrix[:, column], nominal[column]) for column in sorted(nominal)
        }
        return cls(numeric, surprises, side)

    @property
    def nominal(self) -> dict[int, int]:
        """Number of codes by nominal column."""
        return {column: len(table) for column, table in self.surprises.items()}

    def apply(self, matrix: Matrix) -> Floats:
        """The numbers, float64 [rows, columns]: numeric columns first."""
        numbers = matrix[:, self.numeric].astype(np.float64)
        numbers[np.isnan(numbers)] = 0.0
        surprises = [
            table[matrix[:, column].astype(np.int64)] for column, table in self.surprises.items()
        ]
        values: Floats = np.column_stack([numbers, *surprises])
        if self.side == "upper":
            np.maximum(values, 0.0, out=values)
        return values

    def graph(self, graph: Graph) -> str:
        """`apply` as a graph, a double [N, columns]."""
        blocks = []
        if len(self.numeric):
            numbers = graph.add(
                "Cast", graph.add("Gather", INPUT, graph.constant(self.numeric), axis=1), to=DOUBLE
            )
            blocks.append(
                graph.add(
                    "Where", graph.add("IsNaN", numbers), graph.constant(np.float64(0.0)), numbers
                )
            )
        for column, table in self.surprises.items():
            code = graph.add("Gather", INPUT, graph.constant(np.array([column])), axis=1)
            blocks.append(
                graph.add("Gather", graph.constant(table), graph.add("Cast", code, to=INT64))
            )
        values = graph.add("Concat", *blocks, axis=1)
        return (
            graph.add("Max", values, graph.constant(np.float64(0.0)))
            if self.side == "upper"
            else values
        )


def _surprise(codes: Floats32, count: int) -> Floats:
    seen = np.bincount(codes.astype(np.int64), minlength=count)
    surprise: Floats = -np.log((seen + 1.0) / (len(codes) + count))
    mean = float(np.average(surprise, weights=seen))
    spread = float(np.sqrt(np.average(np.square(surprise - mean), weights=seen)))
    # scikit-learn's trees cut in single precision: rounding here gives the ONNX graph the same
    # decisions
    scaled = ((surprise - mean) / (spread if spread > 0.0 else 1.0)).astype(np.float32)
    return np.asarray(scaled, dtype=np.float64)
