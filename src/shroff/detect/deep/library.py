"""Keras: the only file that imports it. Which backend Keras runs on is Keras' own setting (`KERAS_BACKEND`)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shroff.detect.deep.ops import Formula, Tensor
from shroff.detect.deep.stream import Stream
from shroff.detect.deep.training import Problem, Training
from shroff.detect.deep.workers import Crew, batches, epoch_function, find_crew
from shroff.errors import ConfigurationError, MissingExtra

Arrays = dict[str, npt.NDArray[np.float32]]


def _keras() -> Any:
    # TensorFlow announces its build on standard error unless told otherwise before it loads
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return import_module("keras")
    except ImportError as error:
        raise MissingExtra("the neural detectors learn with Keras: pip install 'shroff[deep]'") from error


class KerasOps:
    """A formula in Keras, in single precision to train and in double precision to export."""

    def __init__(self, *, dtype: str = "float32", seeds: Any = None) -> None:
        self._keras, self._dtype, self._seeds = _keras(), dtype, seeds

    def constant(self, value: npt.ArrayLike) -> Tensor:
        return self._keras.ops.convert_to_tensor(np.asarray(value), dtype=self._dtype)

    def columns(self, x: Tensor, at: Sequence[int]) -> Tensor:
        return self._keras.ops.take(x, np.array(at, dtype=np.int32), axis=1)

    def missing(self, x: Tensor) -> Tensor:
        return self._keras.ops.cast(self._keras.ops.isnan(x), self._dtype)

    def known(self, x: Tensor) -> Tensor:
        return self._keras.ops.where(self._keras.ops.isnan(x), self._keras.ops.zeros_like(x), x)

    def lookup(self, table: Tensor, codes: Tensor) -> Tensor:
        return self._keras.ops.take(table, self._keras.ops.cast(codes[:, 0], "int32"), axis=0)

    def concat(self, parts: Sequence[Tensor]) -> Tensor:
        return self._keras.ops.concatenate(list(parts), axis=1)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.matmul(a, b)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        # not ops.add: Keras 3.15 adds a column [n, 1] to a matrix [n, n] as if it were a row
        return self._keras.ops.convert_to_tensor(a) + self._keras.ops.convert_to_tensor(b)

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.multiply(a, b)

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.maximum(a, b)

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.minimum(a, b)

    def exp(self, x: Tensor) -> Tensor:
        return self._keras.ops.exp(x)

    def log(self, x: Tensor) -> Tensor:
        return self._keras.ops.log(x)

    def tanh(self, x: Tensor) -> Tensor:
        return self._keras.ops.tanh(x)

    def sigmoid(self, x: Tensor) -> Tensor:
        return self._keras.ops.sigmoid(x)

    def row_sum(self, x: Tensor) -> Tensor:
        return self._keras.ops.sum(x, axis=1, keepdims=True)

    def row_max(self, x: Tensor) -> Tensor:
        return self._keras.ops.stop_gradient(self._keras.ops.max(x, axis=1, keepdims=True))

    def stop_gradient(self, x: Tensor) -> Tensor:
        return self._keras.ops.stop_gradient(x)

    def mean(self, x: Tensor) -> Tensor:
        return self._keras.ops.mean(x)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # in two passes: Keras' moments can give a variance below 0
        mean = self._keras.ops.mean(x, axis=0, keepdims=True)
        return mean, self._keras.ops.mean((x - mean) ** 2, axis=0, keepdims=True)

    def quantile(self, x: Tensor, share: float) -> Tensor:
        return self._keras.ops.quantile(x, share)

    def sqrt(self, x: Tensor) -> Tensor:
        return self._keras.ops.sqrt(x)

    def absolute(self, x: Tensor) -> Tensor:
        return self._keras.ops.absolute(x)

    def softplus(self, x: Tensor) -> Tensor:
        return self._keras.ops.softplus(x)

    def positive(self, x: Tensor) -> Tensor:
        return self._keras.ops.cast(x > 0, self._dtype)

    def stack(self, parts: Sequence[Tensor]) -> Tensor:
        return self._keras.ops.concatenate(list(parts), axis=0)

    def transpose(self, x: Tensor) -> Tensor:
        return self._keras.ops.transpose(x)

    def normal(self, like: Tensor) -> Tensor:
        return self._keras.random.normal(self._keras.ops.shape(like), seed=self._seeds)

    def uniform(self, like: Tensor) -> Tensor:
        return self._keras.random.uniform(self._keras.ops.shape(like), seed=self._seeds)

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        return self._keras.random.dropout(x, rate, seed=self._seeds)

    def drift(self, variable: Tensor, value: Tensor, momentum: float) -> None:
        variable.assign(momentum * variable + (1.0 - momentum) * self.stop_gradient(value))

    def draw(self, table: Tensor, rows: int) -> Tensor:
        """`rows` rows of `table`, drawn with replacement."""
        at = self._keras.random.randint((rows,), 0, table.shape[0], seed=self._seeds)
        return self._keras.ops.take(table, at, axis=0)


def _learner(problem: Problem, weights: Arrays, training: Training, steps: int, *, streamed: bool) -> Any:
    """A Keras model whose one step is a whole epoch: every batch is drawn inside it, so it never leaves the backend.

    All that is learned lies in one variable: an optimizer's work for it is then one operation of each kind, not one for
    each of a dozen small matrices, and building the graph takes a third of the time.
    """
    keras = _keras()
    learned = {name: array for name, array in weights.items() if problem.trains(name)}

    class Learner(keras.Model):  # type: ignore[misc, name-defined]  # Keras ships no types
        def __init__(self) -> None:
            super().__init__(name=problem.name)
            self.seeds = keras.random.SeedGenerator(training.seed)
            self.crew = _crew(keras)
            self.flat = self._weight("learned", _flat(learned), trainable=True)
            self.fixed = {
                name: self._weight(name, array, trainable=False)
                for name, array in weights.items()
                if name not in learned
            }
            self.built = True

        def _weight(self, name: str, array: npt.NDArray[np.float32], *, trainable: bool) -> Any:
            variable = self.add_weight(
                shape=array.shape, initializer="zeros", trainable=trainable, name=name.replace("/", "_")
            )
            variable.assign(array)
            return variable

        def table(self) -> dict[str, Tensor]:
            return _unflat(keras, self.flat, learned) | self.fixed

        def call(self, fed: Tensor, training: bool = False) -> Tensor:
            ops = KerasOps(seeds=self.seeds)
            tables = problem.tables if training or not problem.held else problem.held
            batch = {
                name: fed if training and streamed and name == "normal" else ops.draw(constants[id(rows)], size(rows))
                for name, rows in tables.items()
            }
            self.add_loss(problem.loss(ops, self.table(), batch))
            return fed

        def make_train_function(self, force: bool = False) -> None:
            if keras.backend.backend() == "tensorflow":
                self.train_function = epoch_function(self, steps, streamed=streamed)
            else:
                super().make_train_function(force)

    def size(rows: npt.NDArray[np.float32]) -> int:
        return min(training.batch_size, max(len(rows), 2))

    constants = {
        id(rows): keras.ops.convert_to_tensor(rows)
        for tables in (problem.tables, problem.held)
        for rows in tables.values()
    }
    return Learner()


def _crew(keras: Any) -> Crew | None:
    return find_crew() if keras.backend.backend() == "tensorflow" else None


def _flat(arrays: Arrays) -> npt.NDArray[np.float32]:
    return np.concatenate([array.ravel() for array in arrays.values()])


def _unflat(keras: Any, flat: Tensor, shapes: Arrays) -> dict[str, Tensor]:
    ends = np.cumsum([array.size for array in shapes.values()])
    parts = keras.ops.split(flat, ends[:-1].tolist())
    return {
        name: keras.ops.reshape(part, array.shape) for (name, array), part in zip(shapes.items(), parts, strict=True)
    }


def learn(
    problem: Problem, weights: Arrays, training: Training, folder: Path | None = None, *, stream: Stream | None = None
) -> Arrays:
    """The weights that minimise the problem's loss, from `weights` on; its normal rows come from `stream` if given.

    With a folder, every epoch is saved there and a killed run goes on where it was; the losses are written for
    TensorBoard. Raises MissingExtra without Keras, ConfigurationError for an optimizer that Keras does not have.
    """
    if training.epochs == 0:
        return weights
    with _quiet():
        return _learn(problem, weights, training, folder, stream)


@contextmanager
def _quiet() -> Iterator[None]:
    # Keras 3.15 converts TensorFlow's arrays in a way that NumPy 2 calls deprecated
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def _learn(problem: Problem, weights: Arrays, training: Training, folder: Path | None, stream: Stream | None) -> Arrays:
    keras = _keras()
    steps = _steps(problem, training, stream, _crew(keras))
    learner = _learner(problem, weights, training, steps, streamed=stream is not None)
    whole = keras.backend.backend() == "tensorflow"
    # PyTorch's backend knows single steps only
    together = steps if keras.backend.backend() == "jax" and stream is None else 1
    learner.compile(
        optimizer=_optimizer(keras, training, steps), loss=None, steps_per_execution=together, jit_compile=False
    )
    calls = 1 if whole else steps
    ticks = np.zeros((calls, 1), np.float32)
    learner.fit(
        ticks if stream is None else batches(stream, training, learner.crew),
        batch_size=1 if stream is None else None,
        steps_per_epoch=calls,
        epochs=training.epochs,
        shuffle=False,
        verbose=0,
        validation_data=(np.zeros((max(1, steps // 5), 1), np.float32),) if problem.held else None,
        validation_batch_size=1,
        callbacks=_callbacks(keras, learner, problem, training, folder),
    )
    read = keras.ops.convert_to_numpy
    return {name: read(keras.ops.convert_to_tensor(value)) for name, value in learner.table().items()}


def _steps(problem: Problem, training: Training, stream: Stream | None, crew: Crew | None) -> int:
    """Steps of an epoch: enough of those in memory, one pass over a stream by all workers together."""
    if stream is None:
        return training.steps(len(problem.tables["normal"]))
    return max(training.min_steps, stream.rows // (training.batch_size * (1 if crew is None else crew.size)))


def _optimizer(keras: Any, training: Training, steps: int) -> Any:
    pace = keras.optimizers.schedules.CosineDecay(training.learning_rate, steps * training.epochs)
    try:
        return keras.optimizers.get(
            {"class_name": training.optimizer, "config": {"learning_rate": pace, "global_clipnorm": _CLIP}}
        )
    except ValueError as error:
        raise ConfigurationError(
            f"expected an optimizer of Keras, such as `adam`, `rmsprop` or `sgd`, got `{training.optimizer}`"
        ) from error


_CLIP = 10.0


def _callbacks(keras: Any, learner: Any, problem: Problem, training: Training, folder: Path | None) -> list[Any]:
    callbacks = [_reseed(keras, learner, training.seed)]
    if training.patience and problem.held:
        callbacks.append(
            keras.callbacks.EarlyStopping("val_loss", patience=training.patience, restore_best_weights=True)
        )
    if folder is not None:
        callbacks.append(keras.callbacks.BackupAndRestore(str(folder / "checkpoints" / problem.name)))
        callbacks.append(_logs(keras, folder / "logs" / problem.name))
    return callbacks


def _logs(keras: Any, folder: Path) -> Any:
    try:
        for needed in ("tensorflow", "tensorboard"):
            import_module(needed)
    except ImportError as error:
        raise MissingExtra(
            "a run kept in a folder logs for TensorBoard: pip install tensorboard tensorflow-cpu"
        ) from error
    return keras.callbacks.TensorBoard(str(folder), write_graph=False)


def _reseed(keras: Any, learner: Any, seed: int) -> Any:
    # checkpoints leave out where the random draws are: an epoch's are counted from its number
    def begin(epoch: int, logs: object = None) -> None:
        mine = 0 if learner.crew is None else learner.crew.index
        learner.seeds.state.assign(np.array([seed + mine * _APART, epoch * _DRAWS], dtype=np.uint32))

    return keras.callbacks.LambdaCallback(on_epoch_begin=begin)


_DRAWS = 100_000
"""More random draws than an epoch makes."""


_APART = 1_000_003
"""Between the seeds of two workers: they draw other batches."""


def save(formula: Formula, folder: Path, *, columns: int) -> None:
    """`formula` as a TensorFlow SavedModel with a serving signature: `X` float32 [N, columns] to `score` [N]."""
    keras = _keras()

    class Scorer(keras.Model):  # type: ignore[misc, name-defined]  # Keras ships no types
        def call(self, X: Tensor) -> Mapping[str, Tensor]:
            ops = KerasOps(dtype="float64")
            score = formula(ops, keras.ops.cast(X, "float64"))
            return {"score": keras.ops.cast(score[:, 0], "float32")}

    scorer = Scorer()
    scorer(np.zeros((1, columns), np.float32))
    signature = [keras.InputSpec(shape=(None, columns), dtype="float32", name="X")]
    scorer.export(str(folder), format="tf_saved_model", input_signature=signature, verbose=False)
