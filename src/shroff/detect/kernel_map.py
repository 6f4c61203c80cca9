"""Feature maps whose inner products approximate a Gaussian kernel, for tables and as a graph.

Each kind gives `design(matrix)` [rows, features] to learn weights by, `dot(matrix, weights)`
[rows], and the same product as a graph, `dot_graph`, a double [N, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from shroff.arrays import Floats, Matrix
from shroff.detect.expansion import Expansion
from shroff.detect.graph import DOUBLE, INPUT, Graph

_BLOCK_ROWS = 8192  # bounds memory: each row expands to hundreds of features


@dataclass(frozen=True, eq=False)
class Identity:
    """The expanded inputs themselves."""

    expansion: Expansion

    def design(self, matrix: Matrix) -> Floats | sparse.csr_matrix:
        """The expanded inputs."""
        return self.expansion.design(matrix)

    def dot(self, matrix: Matrix, weights: Floats) -> Floats:
        """The weighted sum of the features."""
        return self.expansion.dot(matrix, weights[:, None])[:, 0]

    def dot_graph(self, graph: Graph, weights: Floats) -> str:
        """`dot` as a graph."""
        return self.expansion.dot_graph(graph, weights[:, None])


@dataclass(frozen=True, eq=False)
class Cosines:
    """Random waves, √(2 / features) · cos(row · waves + phases): Rahimi and Recht, 2007."""

    expansion: Expansion
    waves: Floats
    phases: Floats

    def design(self, matrix: Matrix) -> Floats:
        """One feature per wave."""
        return np.vstack(
            [
                self._block(matrix[at : at + _BLOCK_ROWS])
                for at in range(0, len(matrix), _BLOCK_ROWS)
            ]
        )

    def dot(self, matrix: Matrix, weights: Floats) -> Floats:
        """The weighted sum of the features."""
        blocks = [
            self._block(matrix[at : at + _BLOCK_ROWS]) @ weights
            for at in range(0, len(matrix), _BLOCK_ROWS)
        ]
        return np.concatenate([np.empty(0), *blocks])

    def dot_graph(self, graph: Graph, weights: Floats) -> str:
        """`dot` as a graph."""
        angle = graph.add(
            "Add", self.expansion.dot_graph(graph, self.waves), graph.constant(self.phases)
        )
        return graph.add(
            "MatMul", graph.add("Cos", angle), graph.constant(self._height * weights[:, None])
        )

    @property
    def _height(self) -> float:
        return math.sqrt(2.0 / len(self.phases))

    def _block(self, matrix: Matrix) -> Floats:
        waves: Floats = self._height * np.cos(self.expansion.dot(matrix, self.waves) + self.phases)
        return waves


@dataclass(frozen=True, eq=False)
class Gaussians:
    """exp(-gamma · distance²) to `centers` [c, width], times `mixing` [c, features].

    Williams and Seeger, 2001.
    """

    expansion: Expansion
    centers: Floats
    mixing: Floats
    gamma: float

    def design(self, matrix: Matrix) -> Floats:
        """The mixed similarities."""
        blocks = [
            self._similar(matrix[at : at + _BLOCK_ROWS])
            for at in range(0, len(matrix), _BLOCK_ROWS)
        ]
        return np.vstack(blocks) @ self.mixing

    def dot(self, matrix: Matrix, weights: Floats) -> Floats:
        """The weighted sum of the features."""
        mixed = self.mixing @ weights
        blocks = [
            self._similar(matrix[at : at + _BLOCK_ROWS]) @ mixed
            for at in range(0, len(matrix), _BLOCK_ROWS)
        ]
        return np.concatenate([np.empty(0), *blocks])

    def dot_graph(self, graph: Graph, weights: Floats) -> str:
        """`dot` as a graph."""
        distance = squared_distances_graph(graph, self.expansion, self.centers)
        similar = graph.add("Exp", graph.add("Mul", distance, graph.constant(-self.gamma)))
        return graph.add("MatMul", similar, graph.constant((self.mixing @ weights)[:, None]))

    def _similar(self, matrix: Matrix) -> Floats:
        similar: Floats = np.exp(
            -self.gamma * squared_distances(matrix, self.expansion, self.centers)
        )
        return similar


def squared_distances(matrix: Matrix, expansion: Expansion, centers: Floats) -> Floats:
    """Squared distances of expanded rows to centers [c, width]: float64 [rows, c], from 0."""
    numbers = matrix[:, expansion.numeric].astype(np.float64)
    squares = np.square(np.nan_to_num(numbers, nan=0.0)).sum(axis=1, keepdims=True)
    distances: Floats = (
        squares
        + expansion.dot(matrix, _crossed(expansion, centers))
        + np.square(centers).sum(axis=1)
    )
    return np.maximum(distances, 0.0)


def squared_distances_graph(graph: Graph, expansion: Expansion, centers: Floats) -> str:
    """`squared_distances` as a graph, a double [N, c]."""
    terms = [
        expansion.dot_graph(graph, _crossed(expansion, centers)),
        graph.constant(np.square(centers).sum(axis=1)),
    ]
    if len(expansion.numeric):
        numbers = graph.add(
            "Cast", graph.add("Gather", INPUT, graph.constant(expansion.numeric), axis=1), to=DOUBLE
        )
        known = graph.add(
            "Where", graph.add("IsNaN", numbers), graph.constant(np.float64(0.0)), numbers
        )
        squares = graph.add("Mul", known, known)
        terms.append(graph.add("ReduceSum", squares, graph.constant(np.array([1])), keepdims=1))
    return graph.add("Max", graph.total(*terms), graph.constant(np.float64(0.0)))


def _crossed(expansion: Expansion, centers: Floats) -> Floats:
    # 0/1 indicators and codes equal their squares, so their squared length joins the cross term
    weights = -2.0 * centers.T
    weights[len(expansion.numeric) :] += 1.0
    return weights
