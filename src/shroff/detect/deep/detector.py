"""The base of the neural detectors: they learn normal payments and give scores and graphs."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from shroff.arrays import Labels, Matrix, Rows, Scores
from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    require_fitted,
    scoring_matrix,
    training_matrix,
)
from shroff.detect.deep import keras_ops, learning
from shroff.detect.deep.inputs import Inputs, Scaling
from shroff.detect.deep.network import Arrays
from shroff.detect.deep.ops import GraphOps, NumpyOps, Ops, Tensor
from shroff.detect.deep.stream import Parquet, RowStream, Survey
from shroff.detect.deep.training import LearningTask, Training
from shroff.detect.graph import DOUBLE, INPUT, Graph
from shroff.detect.rarity import Side
from shroff.detect.rows import as_labels
from shroff.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    import onnx

Input: TypeAlias = Callable[[], tuple[npt.ArrayLike, npt.ArrayLike | None]]
"""Reads rows when asked: `X` [rows, columns] and `y` [rows] or None."""

_SCORED_ROWS = 8192
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Evaluation:
    """The figures of `train_and_evaluate`, with the mean scores of normal and fraud rows."""

    rows: int
    frauds: int
    roc_auc: float
    mean_normal: float
    mean_fraud: float


@dataclass(frozen=True)
class Study:
    """The encoded rows to learn from, and the folder that keeps a run."""

    normal: Rows
    held: Rows
    fraud: Rows
    folder: Path | None
    stream: RowStream | None = None
    """All normal rows, batch by batch, where `normal` is only a sample of them."""

    @property
    def tables(self) -> dict[str, Rows]:
        """The normal rows, and the known frauds if there are any."""
        return {"normal": self.normal} | ({"fraud": self.fraud} if len(self.fraud) else {})

    @property
    def held_tables(self) -> dict[str, Rows]:
        """The held-out normal rows, for early stopping, if there are any."""
        return {"normal": self.held} if len(self.held) else {}

    def learn(self, task: LearningTask, weights: Arrays, training: Training) -> Arrays:
        """The weights after training, or those of the phase's file if a run had finished it."""
        if self.folder is None:
            return learning.learn(task, weights, training, stream=self.stream)
        done = self.folder / f"{task.name}.npz"
        if done.exists():
            with np.load(done) as kept:
                return {name.replace("|", "/"): kept[name] for name in kept.files}
        learned = learning.learn(task, weights, training, self.folder, stream=self.stream)
        unfinished = done.with_suffix(".part.npz")
        # a zip member's name holds no slash; Any, because NumPy types the keywords of savez as its
        # own flags
        arrays: dict[str, Any] = {name.replace("/", "|"): array for name, array in learned.items()}
        np.savez(unfinished, **arrays)
        unfinished.replace(done)
        return learned


class NeuralDetector(Detector):
    """A detector trained on the normal rows: all rows, or those where `y` is 0."""

    needs_labels = False

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str
    patience: int
    seed: int
    scaling: Scaling
    side: Side
    contamination: float

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Learn the normal rows."""
        return self._fit(X, y, nominal, None)

    def train_and_evaluate(
        self,
        train_input: Input | Parquet | str | Path,
        eval_input: Input | Parquet | str | Path,
        *,
        nominal: Mapping[int, int] = ALL_NUMERIC,
        folder: str | Path | None = None,
    ) -> Evaluation:
        """`fit` on the rows of one input and evaluate on those of the other, which needs labels of
        both classes.

        An input is a function that reads rows, or a Parquet file (a path, or `Parquet` where its
        label column is not called `label`) that may be larger than memory: it is streamed, and an
        epoch is one pass over it. Where `TF_CONFIG` names several workers, each runs this call with
        the same arguments and draws its own batches; all end with the same network (and each needs
        its own folder).

        With a folder the run is saved after every epoch: the same call resumes an interrupted run,
        a call after the end only evaluates, and `tensorboard --logdir FOLDER/logs` shows the
        losses. Raises ConfigurationError for a folder that holds another run.
        """
        place = None if folder is None else Path(folder)
        if callable(train_input):
            X, y = train_input()
            self._fit(X, y, nominal, place)
        else:
            self._fit_stream(_parquet(train_input), nominal, place)
        judged = [(self.score(rows), fraud) for rows, fraud in _judged(eval_input)]
        scores, fraud = (np.concatenate(blocks) for blocks in zip(*judged, strict=True))
        if fraud.all() or not fraud.any():
            raise DataError("expected eval_input to give labels of both fraud and genuine rows")
        return Evaluation(
            rows=len(scores),
            frauds=int(fraud.sum()),
            roc_auc=float(roc_auc_score(fraud, scores)),
            mean_normal=float(scores[~fraud].mean()),
            mean_fraud=float(scores[fraud].mean()),
        )

    def _fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None,
        nominal: Mapping[int, int],
        folder: Path | None,
    ) -> Self:
        matrix = training_matrix(X, nominal)
        fraud = _labels(y, len(matrix))
        normal = matrix if fraud is None else matrix[~fraud]
        if len(normal) < 2:
            raise DataError(f"expected at least 2 normal rows to learn from, got {len(normal)}")
        if folder is not None:
            _claim(folder, self._fingerprint(matrix, fraud))
        self.inputs_ = Inputs.learn(normal, nominal).read_as(self.scaling, self.side, normal)
        encoded = self.inputs_.encode(normal).astype(np.float32)
        encoded = encoded[_length(encoded) <= self._farthest(encoded)]
        frauds = np.empty((0, encoded.shape[1]), np.float32)
        if fraud is not None and fraud.any():
            frauds = self.inputs_.encode(matrix[fraud]).astype(np.float32)
        learn, held = self._hold(encoded)
        self._learn(Study(learn, held, frauds, folder))
        self.nominal_ = dict(nominal)
        self.n_features_in_ = matrix.shape[1]
        return self

    def _fit_stream(self, source: Parquet, nominal: Mapping[int, int], folder: Path | None) -> None:
        found = Survey.of(source, nominal, seed=self.seed)
        if found.normal_rows < 2:
            raise DataError(
                f"expected at least 2 normal rows to learn from, got {found.normal_rows}"
            )
        if folder is not None:
            _claim(folder, f"{self._described()} {found.digest}")
        columns = found.normal.shape[1]
        learned = Inputs.over(lambda: (X[~y] for X, y in source.chunks()), columns, nominal)
        self.inputs_ = learned.read_as(self.scaling, self.side, found.normal)
        normal, fraud = (
            self.inputs_.encode(rows).astype(np.float32) for rows in (found.normal, found.fraud)
        )
        limit = self._farthest(normal)
        learn, held = self._hold(normal[_length(normal) <= limit])
        stream = RowStream(source, self.inputs_, found.normal_rows, self.seed, limit)
        self._learn(Study(learn, held, fraud, folder, stream))
        self.nominal_ = dict(nominal)
        self.n_features_in_ = columns

    def _farthest(self, rows: Rows) -> float:
        """The squared length beyond which encoded rows are left out as unlabelled frauds."""
        if not 0.0 <= self.contamination < 0.5:
            raise ConfigurationError(
                f"expected contamination from 0 to below 0.5, got {self.contamination}"
            )
        return (
            float(np.quantile(_length(rows), 1.0 - self.contamination))
            if self.contamination
            else np.inf
        )

    def _hold(self, rows: Rows) -> tuple[Rows, Rows]:
        if not self.patience:
            return rows, rows[:0]
        order = np.random.default_rng(self.seed).permutation(len(rows))
        held = max(1, int(len(rows) * _HELD_OUT_SHARE))
        return rows[order[held:]], rows[order[:held]]

    def _training(self, epochs: int, *, max_steps: int = 40) -> Training:
        return Training(
            epochs=epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            patience=self.patience,
            seed=self.seed,
            max_steps=max_steps,
        )

    def _fingerprint(self, matrix: Matrix, fraud: Labels | None) -> str:
        digest = hashlib.sha256(self._described().encode())
        digest.update(matrix.tobytes())
        digest.update(b"" if fraud is None else fraud.tobytes())
        return digest.hexdigest()

    def _described(self) -> str:
        return f"{type(self).__name__} {sorted(self.get_params().items())}"

    @abstractmethod
    def _learn(self, study: Study) -> None:
        """Learn from encoded rows."""

    @abstractmethod
    def _formula(self, ops: Ops, z: Tensor) -> Tensor:
        """Encoded rows [rows, width] to scores [rows, 1]."""

    def score(self, X: Matrix) -> Scores:
        """The score of each row, float64 [rows]: log(1 + a distance), from 0, or less where the
        detector subtracts what is usual near the row.
        """
        matrix = scoring_matrix(self, X)
        ops = NumpyOps()
        blocks = [
            self._formula(
                ops, self.inputs_.formula(ops, matrix[at : at + _SCORED_ROWS].astype(np.float64))
            )[:, 0]
            for at in range(0, len(matrix), _SCORED_ROWS)
        ]
        return np.concatenate(blocks) if blocks else np.empty(0)

    def to_onnx(self) -> onnx.ModelProto:
        """The same score as a graph, in double precision."""
        columns = require_fitted(self)
        graph = Graph()
        ops = GraphOps(graph)
        score = self._formula(ops, self.inputs_.formula(ops, graph.add("Cast", INPUT, to=DOUBLE)))
        return graph.model(score, columns=columns)

    def to_saved_model(self, folder: str | Path) -> None:
        """The same score as a TensorFlow SavedModel for TensorFlow Serving.

        Its signature `serving_default` takes `X` float32 [N, columns] and gives `score` float32
        [N].
        """
        columns = require_fitted(self)
        keras_ops.save(
            lambda ops, x: self._formula(ops, self.inputs_.formula(ops, x)),
            Path(folder),
            columns=columns,
        )


def _length(rows: Rows) -> Rows:
    squared: Rows = np.square(rows).sum(axis=1)
    return squared


def _parquet(given: Parquet | str | Path) -> Parquet:
    return given if isinstance(given, Parquet) else Parquet(given)


def _judged(given: Input | Parquet | str | Path) -> Iterator[tuple[Matrix, Labels]]:
    if not callable(given):
        yield from _parquet(given).chunks()
        return
    rows, labels = given()
    matrix = np.asarray(rows, dtype=np.float32)
    fraud = _labels(labels, len(matrix))
    yield matrix, np.zeros(len(matrix), dtype=np.bool_) if fraud is None else fraud


def _labels(y: npt.ArrayLike | None, rows: int) -> Labels | None:
    return None if y is None else as_labels(y, rows)


def _claim(folder: Path, fingerprint: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "run.sha256"
    if mark.exists() and mark.read_text(encoding="utf-8") != fingerprint:
        raise ConfigurationError(
            f"expected {folder} to be empty or to hold this run, got one of other rows or "
            "parameters: name another"
        )
    mark.write_text(fingerprint, encoding="utf-8")
