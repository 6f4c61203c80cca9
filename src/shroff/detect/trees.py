"""Boosted trees, the strongest detector on tables with labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Self

import lightgbm
import numpy as np
import numpy.typing as npt

from shroff.arrays import Matrix, Scores
from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    require_fitted,
    scoring_matrix,
    training_labels,
    training_matrix,
)
from shroff.detect.concurrency import available_cores
from shroff.detect.ensemble import ensemble_model
from shroff.detect.parameters import require_number, require_whole
from shroff.detect.space import Range, Space

if TYPE_CHECKING:
    import onnx

_MAX_LEAVES: Final = 131_072
"""The most that LightGBM takes."""
_MAX_INT: Final = 2**31 - 1


class BoostedTrees(Detector):
    """Score by log-odds summed over gradient-boosted trees.

    LightGBM with logistic loss. A split sends missing values to the side that training found
    better; nominal columns are split into sets of codes. The same rows, parameters and seed give
    the same trees with any number of threads. Use it first where there are labels: it is the
    strongest detector on tables.

    Parameters
    ----------
    n_trees : int, default=300
        Number of trees, from 1. Raise it with a lower `learning_rate`.
    learning_rate : float, default=0.05
        Share of each tree that is added, above 0. Lower values need more trees and generalise
        better.
    max_depth : int, default=4
        Most splits from the root to a leaf; -1: no limit. Raise it where fraud shows in
        combinations of many inputs.
    num_leaves : int, default=16
        Most leaves of a tree, from 2.
    min_child_samples : int, default=20
        Fewest training rows of a leaf, from 0. Raise it against overfitting, lower it where frauds
        are very few.
    subsample : float, default=0.8
        Share of the rows that each tree sees, above 0 to 1.
    colsample : float, default=0.8
        Share of the columns that each tree sees, above 0 to 1.
    reg_lambda : float, default=1.0
        L2 penalty of leaf values, from 0. Raise it against overfitting.
    max_bins : int, default=4095
        Most thresholds tried per column, from 2. LightGBM's usual 255 cannot resolve the far tail
        of amounts, where fraud hides.
    threads : int, default=1
        Threads of a fit; 0: one per core. `shroff train` fits folds and the detector itself at the
        same time, on all cores: raise it only on an idle machine with more than four cores.
    seed : int, default=0
        Seed of drawn rows and columns.

    Attributes
    ----------
    booster_ : lightgbm.Booster
        The trees.

    Raises
    ------
    ConfigurationError
        `fit` gets no labels, or a parameter is out of range.
    DataError
        `fit` gets labels of one class.

    References
    ----------
    Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import BoostedTrees
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 2)).astype(np.float32)
    >>> fraud = X[:, 0] > 1.5
    >>> trees = BoostedTrees(n_trees=50, threads=1).fit(X, fraud)
    >>> trees.score([[0.0, 0.0], [3.0, 0.0]]).round(1)
    array([-5.2,  1.8])
    """

    name: ClassVar[str] = "boosted_trees"
    needs_labels: ClassVar[bool] = True
    search_space: ClassVar[Space] = {
        "n_trees": Range(low=50, high=800, log=True),
        "learning_rate": Range(low=0.01, high=0.3, log=True),
        "max_depth": Range(low=2, high=8),
        "num_leaves": Range(low=4, high=64, log=True),
        "min_child_samples": Range(low=5, high=200, log=True),
        "subsample": Range(low=0.5, high=1.0),
        "colsample": Range(low=0.3, high=1.0),
        "reg_lambda": Range(low=0.1, high=100.0, log=True),
    }

    def __init__(
        self,
        *,
        n_trees: int = 300,
        learning_rate: float = 0.05,
        max_depth: int = 4,
        num_leaves: int = 16,
        min_child_samples: int = 20,
        subsample: float = 0.8,
        colsample: float = 0.8,
        reg_lambda: float = 1.0,
        max_bins: int = 4095,
        threads: int = 1,
        seed: int = 0,
    ) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.subsample = subsample
        self.colsample = colsample
        self.reg_lambda = reg_lambda
        self.max_bins = max_bins
        self.threads = threads
        self.seed = seed

    @property
    def cores_per_fit(self) -> int | None:
        """`threads`, or all cores: LightGBM works without the interpreter's lock."""
        return self.threads or available_cores()

    def check_parameters(self) -> None:
        """Refuse what LightGBM refuses."""
        require_whole(self, "n_trees", low=1)
        require_whole(self, "num_leaves", low=2, high=_MAX_LEAVES)
        require_whole(self, "max_bins", low=2)
        require_whole(self, "min_child_samples", low=0)
        # below 0: no limit of the depth, all cores
        require_whole(self, "max_depth", "threads", low=-_MAX_INT)
        if self.seed is not None:
            require_whole(self, "seed", low=-_MAX_INT)
        require_number(self, "learning_rate", above=0)
        require_number(self, "subsample", "colsample", above=0, most=1)
        require_number(self, "reg_lambda", least=0)

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Grow the trees."""
        matrix = training_matrix(X, nominal)
        fraud = training_labels(y, len(matrix))
        parameters = self._parameters()
        data = lightgbm.Dataset(
            matrix, fraud.astype(np.float32), categorical_feature=sorted(nominal), params=parameters
        )
        self.booster_ = lightgbm.train(parameters, data, num_boost_round=self.n_trees)
        self.nominal_ = dict(nominal)
        self.n_features_in_ = matrix.shape[1]
        return self

    def _parameters(self) -> dict[str, object]:
        return {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_child_samples,
            "bagging_fraction": self.subsample,
            "bagging_freq": 1,
            "feature_fraction": self.colsample,
            "lambda_l2": self.reg_lambda,
            "max_bin": self.max_bins,
            "num_threads": self.threads,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "zero_as_missing": False,
            "verbosity": -1,
        }

    def score(self, X: Matrix) -> Scores:
        """The log-odds of fraud, float64 [rows]."""
        matrix = scoring_matrix(self, X)
        # without it LightGBM takes every core, also for fits that run in other threads
        scores = self.booster_.predict(matrix, raw_score=True, num_threads=self.threads)
        return np.asarray(scores, dtype=np.float64)

    def to_onnx(self) -> onnx.ModelProto:
        """The same trees as a graph: equal decisions, leaves summed in double precision."""
        columns = require_fitted(self)
        trees = self.booster_.dump_model()["tree_info"]
        return ensemble_model(trees, columns=columns, nominal=self.nominal_)
