"""Keras, which only this file imports. `KERAS_BACKEND`, Keras' own setting, chooses the backend."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shroff.arrays import Floats32
from shroff.detect.deep.network import Arrays
from shroff.detect.deep.ops import Formula, Tensor
from shroff.detect.deep.stream import RowStream
from shroff.detect.deep.training import LearningTask, Training
from shroff.detect.deep.workers import Crew, batches, epoch_function, find_crew, plainly_built, ticks
from shroff.errors import ConfigurationError, MissingExtra


def _keras() -> Any:
    # silences TensorFlow's build notice on standard error; must be set before it loads
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return import_module("keras")
    except ImportError as error:
        raise MissingExtra("the neural detectors learn with Keras: pip install 'shroff[deep]'") from error


class KerasOps:
    """A formula in Keras: single precision to train, double precision to export."""

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

    def concat(self, blocks: Sequence[Tensor]) -> Tensor:
        return self._keras.ops.concatenate(list(blocks), axis=1)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.matmul(a, b)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        # not ops.add: Keras 3.15 broadcasts a column [n, 1] over a matrix [n, n] as if it were a row
        return self._keras.ops.convert_to_tensor(a) + self._keras.ops.convert_to_tensor(b)

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.multiply(a, b)

    def subtract(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.convert_to_tensor(a) - self._keras.ops.convert_to_tensor(b)

    def relu(self, x: Tensor) -> Tensor:
        return self._keras.ops.relu(x)

    def leaky_relu(self, x: Tensor, leak: float) -> Tensor:
        return self._keras.ops.leaky_relu(x, leak)

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
        # as a matrix product: TensorFlow builds one gradient node for it, and nine for a sum
        return self._keras.ops.matmul(x, self.constant(np.ones((x.shape[1], 1))))

    def row_max(self, x: Tensor) -> Tensor:
        return self._keras.ops.stop_gradient(self._keras.ops.max(x, axis=1, keepdims=True))

    def stop_gradient(self, x: Tensor) -> Tensor:
        return self._keras.ops.stop_gradient(x)

    def mean(self, x: Tensor) -> Tensor:
        mean = self.column_mean(x)
        return mean if x.shape[1] == 1 else self.row_sum(mean) * (1.0 / x.shape[1])

    def column_mean(self, x: Tensor) -> Tensor:
        return self._keras.ops.matmul(self.constant(np.full((1, x.shape[0]), 1.0 / x.shape[0])), x)

    def square(self, x: Tensor) -> Tensor:
        return self._keras.ops.square(x)

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

    def stack(self, blocks: Sequence[Tensor]) -> Tensor:
        return self._keras.ops.concatenate(list(blocks), axis=0)

    def unstack(self, x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        if x.shape[0] == 2 * rows:
            first, others = self._keras.ops.split(x, 2, axis=0)
            return first, others
        return x[:rows], x[rows:]

    def split(self, x: Tensor, width: int) -> tuple[Tensor, Tensor]:
        return x[:, :width], x[:, width:]

    def transpose(self, x: Tensor) -> Tensor:
        return self._keras.ops.transpose(x)

    def normal(self, like: Tensor, width: int) -> Tensor:
        return self._keras.random.normal((self._keras.ops.shape(like)[0], width), seed=self._seeds)

    def uniform(self, like: Tensor, width: int) -> Tensor:
        return self._keras.random.uniform((self._keras.ops.shape(like)[0], width), seed=self._seeds)

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        return self._keras.random.dropout(x, rate, seed=self._seeds)

    def drift(self, variable: Tensor, value: Tensor, momentum: float) -> None:
        variable.assign(momentum * variable + (1.0 - momentum) * self.stop_gradient(value))

    def draw(self, table: Tensor, rows: int) -> Tensor:
        """`rows` rows of `table`, drawn with replacement."""
        at = self._keras.random.randint((rows,), 0, table.shape[0], seed=self._seeds)
        return self._keras.ops.take(table, at, axis=0)


def _learner(task: LearningTask, weights: Arrays, training: Training, steps: int, *, streamed: bool) -> Any:
    """A Keras model whose one step is a whole epoch: it draws every batch itself, so nothing leaves the backend.

    All learned weights share one variable: the optimizer then runs one operation of each kind instead of a dozen on
    small matrices, and the graph builds in a third of the time.
    """
    keras = _keras()
    learned = {
        name: array
        for kind in ("/kernel", "/bias")
        for name, array in weights.items()
        if name.endswith(kind) and task.trains(name)
    }
    kernels = sum(array.size for name, array in learned.items() if name.endswith("/kernel"))

    class Learner(keras.Model):  # type: ignore[misc, name-defined]  # Keras ships no types
        def __init__(self) -> None:
            super().__init__(name=task.name)
            self.seeds = keras.random.SeedGenerator(training.seed)
            self.crew = _crew(keras)
            self.flat = self._weight("learned", _flat(learned), trainable=True)
            self.fixed = {
                name: self._weight(name, array, trainable=False)
                for name, array in weights.items()
                if name not in learned
            }
            self.built = True

        def _weight(self, name: str, array: Floats32, *, trainable: bool) -> Any:
            variable = self.add_weight(
                shape=array.shape, initializer="zeros", trainable=trainable, name=name.replace("/", "_")
            )
            variable.assign(array)
            return variable

        def table(self, flat: Tensor) -> dict[str, Tensor]:
            return _unflat(keras, flat, learned) | self.fixed

        def call(self, fed: Tensor, training: bool = False) -> Tensor:
            ops = KerasOps(seeds=self.seeds)
            tables = task.tables if training or not task.held else task.held
            batch = {
                name: fed if training and streamed and name == "normal" else ops.draw(constants[id(rows)], size(rows))
                for name, rows in tables.items()
            }
            flat = keras.ops.convert_to_tensor(self.flat)
            loss = task.loss(ops, self.table(flat), batch) + task.penalty(ops, flat[None, :kernels])
            self.add_loss(loss[0, 0])
            return fed

        def make_train_function(self, force: bool = False) -> None:
            if keras.backend.backend() == "tensorflow":
                self.train_function = epoch_function(self, steps, streamed=streamed)
            else:
                super().make_train_function(force)

    def size(rows: Floats32) -> int:
        return min(training.batch_size, max(len(rows), 2))

    constants = {
        id(rows): keras.ops.convert_to_tensor(rows) for tables in (task.tables, task.held) for rows in tables.values()
    }
    return Learner()


def _crew(keras: Any) -> Crew | None:
    return find_crew() if keras.backend.backend() == "tensorflow" else None


def _flat(arrays: Arrays) -> Floats32:
    return np.concatenate([array.ravel() for array in arrays.values()])


def _unflat(keras: Any, flat: Tensor, shapes: Arrays) -> dict[str, Tensor]:
    ends = np.cumsum([array.size for array in shapes.values()])
    blocks = keras.ops.split(flat, ends[:-1].tolist())
    return {
        name: keras.ops.reshape(block, array.shape) for (name, array), block in zip(shapes.items(), blocks, strict=True)
    }


def learn(
    task: LearningTask,
    weights: Arrays,
    training: Training,
    folder: Path | None = None,
    *,
    stream: RowStream | None = None,
) -> Arrays:
    """Train `weights` to minimise the task's loss; its normal rows come from `stream` if given.

    With a folder, every epoch is saved there, an interrupted run resumes, and TensorBoard reads the losses. Raises
    MissingExtra without Keras, ConfigurationError for an optimizer that Keras does not have.
    """
    if training.epochs == 0:
        return weights
    with _quiet():
        return _learn(task, weights, training, folder, stream)


@contextmanager
def _quiet() -> Iterator[None]:
    # Keras 3.15 converts TensorFlow's arrays in a way that NumPy 2 calls deprecated
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def _learn(
    task: LearningTask, weights: Arrays, training: Training, folder: Path | None, stream: RowStream | None
) -> Arrays:
    keras = _keras()
    steps = _steps(task, training, stream, _crew(keras))
    learner = _learner(task, weights, training, steps, streamed=stream is not None)
    whole = keras.backend.backend() == "tensorflow"
    # only JAX runs several steps per call; PyTorch takes single steps
    together = steps if keras.backend.backend() == "jax" and stream is None else 1
    learner.compile(
        optimizer=_optimizer(keras, training, steps), loss=None, steps_per_execution=together, jit_compile=False
    )
    calls = 1 if whole else steps
    fed = _ticks(calls, whole) if stream is None else batches(stream, training, learner.crew)
    with plainly_built() if whole else nullcontext():
        learner.fit(
            fed,
            batch_size=None if whole or stream is not None else 1,
            steps_per_epoch=calls,
            epochs=training.epochs,
            shuffle=False,
            verbose=0,
            validation_data=(np.zeros((max(1, steps // 5), 1), np.float32),) if task.held else None,
            validation_batch_size=1,
            callbacks=_callbacks(keras, learner, task, training, folder),
        )
    read = keras.ops.convert_to_numpy
    return {name: read(keras.ops.convert_to_tensor(value)) for name, value in learner.table(learner.flat).items()}


def _ticks(calls: int, whole: bool) -> Any:
    return ticks() if whole else np.zeros((calls, 1), np.float32)


def _steps(task: LearningTask, training: Training, stream: RowStream | None, crew: Crew | None) -> int:
    """Steps of an epoch: by rows in memory, or one pass over a stream shared by all workers."""
    if stream is None:
        return training.steps(len(task.tables["normal"]))
    return max(training.min_steps, stream.rows // (training.batch_size * (1 if crew is None else crew.size)))


def _optimizer(keras: Any, training: Training, steps: int) -> Any:
    pace = keras.optimizers.schedules.CosineDecay(training.learning_rate, steps * training.epochs)
    try:
        return keras.optimizers.get(
            {
                "class_name": training.optimizer,
                "config": {"learning_rate": pace, "global_clipnorm": _GRADIENT_NORM_LIMIT},
            }
        )
    except ValueError as error:
        raise ConfigurationError(
            f"expected an optimizer of Keras, such as `adam`, `rmsprop` or `sgd`, got `{training.optimizer}`"
        ) from error


_GRADIENT_NORM_LIMIT = 10.0


def _callbacks(keras: Any, learner: Any, task: LearningTask, training: Training, folder: Path | None) -> list[Any]:
    callbacks = [_reseed(keras, learner, training.seed)]
    if training.patience and task.held:
        callbacks.append(
            keras.callbacks.EarlyStopping("val_loss", patience=training.patience, restore_best_weights=True)
        )
    if folder is not None:
        callbacks.append(keras.callbacks.BackupAndRestore(str(folder / "checkpoints" / task.name)))
        callbacks.append(_logs(keras, folder / "logs" / task.name))
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
    # checkpoints do not keep the random state: each epoch sets its own from its number
    def begin(epoch: int, logs: object = None) -> None:
        mine = 0 if learner.crew is None else learner.crew.index
        learner.seeds.state.assign(
            np.array([seed + mine * _WORKER_SEED_STEP, epoch * _DRAWS_PER_EPOCH], dtype=np.uint32)
        )

    return keras.callbacks.LambdaCallback(on_epoch_begin=begin)


_DRAWS_PER_EPOCH = 100_000
"""An upper bound of an epoch's random draws."""

_WORKER_SEED_STEP = 1_000_003
"""Distance between the seeds of two workers, so that they draw different batches."""


def save(formula: Formula, folder: Path, *, columns: int) -> None:
    """`formula` as a TensorFlow SavedModel with a serving signature: `X` float32 [N, columns] to `score` [N]."""
    keras = _keras()

    class ScoringModel(keras.Model):  # type: ignore[misc, name-defined]  # Keras ships no types
        def call(self, X: Tensor) -> Mapping[str, Tensor]:
            ops = KerasOps(dtype="float64")
            score = formula(ops, keras.ops.cast(X, "float64"))
            return {"score": keras.ops.cast(score[:, 0], "float32")}

    scorer = ScoringModel()
    scorer(np.zeros((1, columns), np.float32))
    signature = [keras.InputSpec(shape=(None, columns), dtype="float32", name="X")]
    scorer.export(str(folder), format="tf_saved_model", input_signature=signature, verbose=False)
