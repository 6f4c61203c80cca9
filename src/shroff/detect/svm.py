"""Linear support vector machine, also on an approximated Gaussian kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn import kernel_approximation, svm

from shroff.arrays import Floats, Ints, Labels, Matrix, Scores
from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    draw_rows,
    require_fitted,
    scoring_matrix,
    training_labels,
    training_matrix,
)
from shroff.detect.expansion import Expansion
from shroff.detect.graph import Graph
from shroff.detect.kernel_map import Cosines, Gaussians, Identity
from shroff.detect.parameters import (
    require_class_weight,
    require_number,
    require_one_of,
    require_seed,
    require_whole,
)
from shroff.detect.space import Choice, Range, Space

if TYPE_CHECKING:
    import onnx

Approximation = Literal["nystroem", "fourier"]


class LinearSVM(Detector):
    """Score by the signed distance to a plane with a wide margin between fraud and genuine.

    scikit-learn's LinearSVC (liblinear). Inputs enter as in `LogisticRegression`. With
    `approximation` the plane lies in the space of a Gaussian kernel, so that the border in the
    inputs may bend.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the L2 penalty, above 0. Lower it where figures on the test part fall
        behind the training part.
    loss : Literal['squared_hinge', 'hinge'], default='squared_hinge'
        How rows inside the margin count: squared, or linearly, which is less sensitive to outliers
        and slower.
    class_weight : str | None, default=None
        `"balanced"` gives frauds as much weight as genuine rows; None weighs every row alike.
    approximation : Literal['nystroem', 'fourier'] | None, default=None
        Features that stand for the Gaussian kernel: `"nystroem"` measures the similarity to
        training rows, `"fourier"` draws random waves. None learns a plane in the inputs. Set it
        where fraud hides in combinations of inputs.
    components : int, default=300
        Number of those features, from 1. More follow the kernel closer and cost time per payment.
    gamma : float | None, default=None
        The kernel is exp(-gamma · distance²), above 0; None: one over the number of expanded
        inputs. Higher values bend the border around single rows.
    sample : int, default=100000
        Most rows that a plane on a kernel is learned from, from 2: all frauds up to half of it, the
        others drawn from genuine rows. Drawn rows are weighted for those left out. Lower it where
        training takes too long.
    max_iter : int, default=5000
        Most passes of liblinear over the rows, from 1. Raise it where `capped_` names it.
    seed : int, default=0
        Seed of drawn features and rows, and of the order of rows with `"hinge"`.

    Attributes
    ----------
    features_ : Identity | Gaussians | Cosines
        The inputs of the plane.
    weights_ : ndarray of float64, [features]
        The plane's normal vector.
    intercept_ : float
        The margin of a row whose features are all 0.
    n_iter_ : int
        Passes that liblinear made.

    Raises
    ------
    ConfigurationError
        `fit` gets no labels, or a parameter is out of range.
    DataError
        `fit` gets labels of one class.

    References
    ----------
    Fan et al., LIBLINEAR: A Library for Large Linear Classification, 2008.
    Williams and Seeger, Using the Nyström Method to Speed Up Kernel Machines, 2001.
    Rahimi and Recht, Random Features for Large-Scale Kernel Machines, 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import LinearSVM
    >>> X = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]], dtype=np.float32)
    >>> LinearSVM().fit(X, [0, 0, 0, 1, 1]).score(X).round(1)
    array([-2.2, -1.3, -0.4,  0.5,  1.5])
    >>> bent = LinearSVM(approximation="nystroem", components=5, gamma=1.0)
    >>> bent.fit(X, [1, 0, 0, 0, 1]).score(X).round(1)
    array([ 0.6, -0.6, -0.9, -0.6,  0.6])
    """

    name: ClassVar[str] = "linear_svm"
    needs_labels: ClassVar[bool] = True
    search_space: ClassVar[Space] = {
        "C": Range(low=1e-3, high=1e2, log=True),
        "class_weight": Choice((None, "balanced")),
        "approximation": Choice((None, "nystroem", "fourier")),
        "gamma": Range(low=1e-3, high=1.0, log=True),
    }

    def __init__(
        self,
        *,
        C: float = 1.0,
        loss: Literal["squared_hinge", "hinge"] = "squared_hinge",
        class_weight: str | None = None,
        approximation: Approximation | None = None,
        components: int = 300,
        gamma: float | None = None,
        sample: int = 100_000,
        max_iter: int = 5000,
        seed: int = 0,
    ) -> None:
        self.C = C
        self.loss = loss
        self.class_weight = class_weight
        self.approximation = approximation
        self.components = components
        self.gamma = gamma
        self.sample = sample
        self.max_iter = max_iter
        self.seed = seed

    def check_parameters(self) -> None:
        """Refuse what scikit-learn refuses."""
        require_number(self, "C", above=0)
        require_one_of(self, "loss", "squared_hinge", "hinge")
        require_class_weight(self)
        require_one_of(self, "approximation", None, "nystroem", "fourier")
        require_whole(self, "components", "max_iter", low=1)
        if self.gamma is not None:
            require_number(self, "gamma", above=0)
        require_whole(self, "sample", low=2)
        require_seed(self)

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Learn the plane."""
        matrix = training_matrix(X, nominal)
        fraud = training_labels(y, len(matrix))
        expansion = Expansion.learn(matrix, nominal)
        rows, weights = self._drawn(fraud)
        design = expansion.design(matrix[rows])
        self.features_ = self._features(expansion, design)
        plane = svm.LinearSVC(
            C=self.C,
            loss=self.loss,
            class_weight=self.class_weight,
            dual=self.loss == "hinge",
            max_iter=self.max_iter,
            random_state=self.seed,
        ).fit(self.features_.design(matrix[rows]), fraud[rows], sample_weight=weights)
        self.n_iter_ = int(plane.n_iter_)
        passes = [f"{self.max_iter:,} passes of liblinear"] if self.n_iter_ >= self.max_iter else []
        drawn = [f"{len(rows):,} of {len(matrix):,} rows"] if len(rows) < len(matrix) else []
        self.capped_ = (*passes, *drawn)
        self.weights_ = np.asarray(plane.coef_[0], dtype=np.float64)
        self.intercept_ = float(plane.intercept_[0])
        self.nominal_ = expansion.nominal
        self.n_features_in_ = matrix.shape[1]
        return self

    def _drawn(self, fraud: Labels) -> tuple[Ints, Floats | None]:
        """The rows that are learned from, and how many rows each stands for (None: itself)."""
        if self.approximation is None or len(fraud) <= self.sample:
            return np.arange(len(fraud)), None
        rows = draw_rows(fraud, self.sample, seed=self.seed)
        drawn = fraud[rows]
        return rows, np.where(drawn, fraud.sum() / drawn.sum(), (~fraud).sum() / (~drawn).sum())

    def _features(
        self, expansion: Expansion, design: Floats | sparse.csr_matrix
    ) -> Identity | Gaussians | Cosines:
        if self.approximation is None:
            return Identity(expansion)
        gamma = 1.0 / expansion.width if self.gamma is None else self.gamma
        if self.approximation == "fourier":
            sampler = kernel_approximation.RBFSampler(
                gamma=gamma, n_components=self.components, random_state=self.seed
            ).fit(design)
            return Cosines(expansion, sampler.random_weights_, sampler.random_offset_)
        components = min(self.components, design.shape[0])
        approximated = kernel_approximation.Nystroem(
            kernel="rbf", gamma=gamma, n_components=components, random_state=self.seed
        ).fit(design)
        centers = approximated.components_
        centers = centers.toarray() if sparse.issparse(centers) else centers
        return Gaussians(expansion, centers, approximated.normalization_.T, gamma)

    def score(self, X: Matrix) -> Scores:
        """The margin, float64 [rows]: 0 on the plane, ±1 where the hinge begins."""
        matrix = scoring_matrix(self, X)
        margin: Scores = self.features_.dot(matrix, self.weights_) + self.intercept_
        return margin

    def to_onnx(self) -> onnx.ModelProto:
        """The same margin as a graph, in double precision."""
        columns = require_fitted(self)
        graph = Graph()
        total = self.features_.dot_graph(graph, self.weights_)
        return graph.model(
            graph.add("Add", total, graph.constant(self.intercept_)), columns=columns
        )
