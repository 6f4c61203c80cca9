"""Isolation forest: a row that few random cuts isolate is suspicious. Learns without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from sklearn import ensemble

from shroff.arrays import Floats, Ints, Matrix, Scores
from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    require_fitted,
    scoring_matrix,
    training_matrix,
)
from shroff.detect.ensemble import Node, add_ensemble
from shroff.detect.graph import Graph
from shroff.detect.parameters import require_number, require_one_of, require_seed, require_whole
from shroff.detect.rarity import Rarity, Side
from shroff.detect.space import Choice, Range, Space

if TYPE_CHECKING:
    import onnx

_BLOCK_ROWS: Final = 8_192
"""Rows that all trees score before the next: they stay in the processor's cache."""


class IsolationForest(Detector):
    """Score by how few random cuts isolate a row, averaged over trees.

    scikit-learn's isolation forest. The score is minus the mean number of cuts, divided by the
    number that an average row of the sample takes: -1 is average, nearer 0 is more suspicious.
    Numeric columns enter as they are, missing values at 0 (the mean, after `Preparation`); nominal
    ones by how rare their code is. `y` is ignored. Use it as a sober baseline without labels.

    Parameters
    ----------
    n_trees : int, default=200
        Number of trees, from 1. More make the score steadier.
    sample : int, default=256
        Rows that a tree is grown on, from 1; all where there are fewer. Raise it where frauds
        resemble normal rows.
    columns : float, default=1.0
        Share of the inputs that a tree may cut, above 0 to 1. Lower it where many inputs are noise.
    side : Literal['both', 'upper'], default='both'
        `"upper"` counts only values above the mean as unusual: set it where a low value is never
        suspicious.
    seed : int, default=0
        Seed of drawn rows, inputs and cuts.

    Attributes
    ----------
    rarity_ : Rarity
        How each input is read as a number.
    trees_ : list
        The trees, with the score of each leaf.

    Raises
    ------
    ConfigurationError
        A parameter is out of range.

    References
    ----------
    Liu, Ting and Zhou, Isolation Forest, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import IsolationForest
    >>> X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    >>> IsolationForest().fit(X).score([[0.0, 0.0], [4.0, 4.0]]).round(1)
    array([-1.3, -0.4])
    """

    name: ClassVar[str] = "isolation_forest"
    needs_labels: ClassVar[bool] = False
    search_space: ClassVar[Space] = {
        "sample": Choice((128, 256, 512, 1024, 2048)),
        "columns": Range(low=0.3, high=1.0),
        "side": Choice(("both", "upper")),
    }

    def __init__(
        self,
        *,
        n_trees: int = 200,
        sample: int = 256,
        columns: float = 1.0,
        side: Side = "both",
        seed: int = 0,
    ) -> None:
        self.n_trees = n_trees
        self.sample = sample
        self.columns = columns
        self.side = side
        self.seed = seed

    @property
    def cores_per_fit(self) -> int | None:
        """1: trees score without the interpreter's lock."""
        return 1

    def check_parameters(self) -> None:
        """Refuse what scikit-learn refuses, and an unknown `side`."""
        require_whole(self, "n_trees", "sample", low=1)
        require_number(self, "columns", above=0, most=1)
        require_one_of(self, "side", "both", "upper")
        require_seed(self)

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Grow the trees."""
        matrix = training_matrix(X, nominal)
        self.rarity_ = Rarity.learn(matrix, nominal, side=self.side)
        forest = ensemble.IsolationForest(
            n_estimators=self.n_trees,
            max_samples=min(self.sample, len(matrix)),
            max_features=float(self.columns),  # 1 would be one column, not all
            random_state=self.seed,
            n_jobs=1,
        ).fit(self.rarity_.apply(matrix))
        average = _average_cuts(np.array([forest.max_samples_]))[0] * self.n_trees
        self.trees_ = [
            _Tree(tree.tree_, inputs, -_cuts(tree.tree_) / average)
            for tree, inputs in zip(forest.estimators_, forest.estimators_features_, strict=True)
        ]
        self.nominal_ = self.rarity_.nominal
        self.n_features_in_ = matrix.shape[1]
        return self

    def score(self, X: Matrix) -> Scores:
        """Minus the mean number of cuts over the average one, float64 [rows]."""
        matrix = scoring_matrix(self, X)
        scores = np.zeros(len(matrix))
        for start in range(0, len(matrix), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            inputs = self.rarity_.apply(matrix[rows]).astype(np.float32)
            for tree in self.trees_:
                scores[rows] += tree.score(inputs)
        return scores

    def to_onnx(self) -> onnx.ModelProto:
        """The same trees as a graph: equal cuts, summed in double precision."""
        columns = require_fitted(self)
        graph = Graph()
        trees = [{"tree_structure": tree.nodes()} for tree in self.trees_]
        return graph.model(add_ensemble(graph, self.rarity_.graph(graph), trees), columns=columns)


@dataclass(frozen=True, eq=False)
class _Tree:
    """A scikit-learn tree, the inputs it cuts, and the score of each leaf, by node."""

    cut: Any
    inputs: Ints
    leaves: Floats

    def score(self, inputs: Matrix) -> Scores:
        """The score of the leaf that each row of `inputs` [rows, columns] falls into."""
        every = np.array_equal(self.inputs, np.arange(inputs.shape[1]))
        found: Scores = self.leaves[self.cut.apply(inputs if every else inputs[:, self.inputs])]
        return found

    def nodes(self) -> Node:
        """The tree as `add_ensemble` reads it."""
        grown: list[Node] = []
        for at in range(self.cut.node_count - 1, -1, -1):  # children come after their parents
            left, right = self.cut.children_left[at], self.cut.children_right[at]
            if left < 0:
                grown.append({"leaf_value": float(self.leaves[at])})
                continue
            grown.append(
                {
                    "split_feature": int(self.inputs[self.cut.feature[at]]),
                    "threshold": float(self.cut.threshold[at]),
                    "decision_type": "<=",
                    "missing_type": "NaN",
                    "default_left": True,
                    "left_child": grown[self.cut.node_count - 1 - left],
                    "right_child": grown[self.cut.node_count - 1 - right],
                }
            )
        return grown[-1]


def _cuts(tree: Any) -> Floats:
    """Cuts down to each node, and those that would still set apart the training rows left in it."""
    depth = np.zeros(tree.node_count)
    for at, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:
            depth[[left, right]] = depth[at] + 1.0
    total: Floats = depth + _average_cuts(tree.n_node_samples)
    return total


def _average_cuts(rows: Ints) -> Floats:
    """Mean number of cuts that isolate one of `n` rows: 2 (ln(n - 1) + γ) - 2 (n - 1) / n."""
    n = np.maximum(rows, 3).astype(np.float64)
    many = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(rows > 2, many, np.where(rows == 2, 1.0, 0.0))
