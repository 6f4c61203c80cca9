"""The training of networks in Keras: one step is an epoch, and interrupted runs resume."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from shroff.arrays import Floats32
from shroff.detect.deep.keras_ops import KerasOps, keras_module
from shroff.detect.deep.network import Arrays
from shroff.detect.deep.ops import Tensor
from shroff.detect.deep.stream import RowStream
from shroff.detect.deep.training import LearningTask, Training
from shroff.detect.deep.workers import (
    WorkerGroup,
    batches,
    epoch_function,
    find_worker_group,
    plainly_built,
    ticks,
)
from shroff.errors import ConfigurationError, MissingExtra

_MAX_GRADIENT_NORM: Final = 10.0
_MAX_EPOCH_DRAWS: Final = 100_000
"""An upper bound of an epoch's random draws."""

_WORKER_SEED_STEP: Final = 1_000_003
"""Distance between the seeds of two workers, so that they draw different batches."""


def _learner(
    task: LearningTask, weights: Arrays, training: Training, steps: int, *, streamed: bool
) -> Any:
    """A Keras model whose one step is a whole epoch: it draws every batch itself, so nothing leaves
    the backend.

    All learned weights share one variable: the optimizer then runs one operation of each kind
    instead of a dozen on small matrices, and the graph builds in a third of the time.
    """
    keras = keras_module()
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
            self.group = _group(keras)
            self.flat = self._weight("learned", _flat(learned), trainable=True)
            self.fixed = {
                name: self._weight(name, array, trainable=False)
                for name, array in weights.items()
                if name not in learned
            }
            self.built = True

        def _weight(self, name: str, array: Floats32, *, trainable: bool) -> Any:
            variable = self.add_weight(
                shape=array.shape,
                initializer="zeros",
                trainable=trainable,
                name=name.replace("/", "_"),
            )
            variable.assign(array)
            return variable

        def table(self, flat: Tensor) -> dict[str, Tensor]:
            return _unflat(keras, flat, learned) | self.fixed

        def call(self, fed: Tensor, training: bool = False) -> Tensor:
            ops = KerasOps(seeds=self.seeds)
            tables = task.tables if training or not task.held else task.held
            batch = {
                name: fed
                if training and streamed and name == "normal"
                else ops.draw(constants[id(rows)], size(rows))
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
        id(rows): keras.ops.convert_to_tensor(rows)
        for tables in (task.tables, task.held)
        for rows in tables.values()
    }
    return Learner()


def _group(keras: Any) -> WorkerGroup | None:
    return find_worker_group() if keras.backend.backend() == "tensorflow" else None


def _flat(arrays: Arrays) -> Floats32:
    return np.concatenate([array.ravel() for array in arrays.values()])


def _unflat(keras: Any, flat: Tensor, shapes: Arrays) -> dict[str, Tensor]:
    ends = np.cumsum([array.size for array in shapes.values()])
    blocks = keras.ops.split(flat, ends[:-1].tolist())
    return {
        name: keras.ops.reshape(block, array.shape)
        for (name, array), block in zip(shapes.items(), blocks, strict=True)
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

    With a folder, every epoch is saved there, an interrupted run resumes, and TensorBoard reads the
    losses. Raises MissingExtra without Keras, ConfigurationError for an optimizer that Keras does
    not have.
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
    task: LearningTask,
    weights: Arrays,
    training: Training,
    folder: Path | None,
    stream: RowStream | None,
) -> Arrays:
    keras = keras_module()
    steps = _steps(task, training, stream, _group(keras))
    learner = _learner(task, weights, training, steps, streamed=stream is not None)
    whole = keras.backend.backend() == "tensorflow"
    # only JAX runs several steps per call; PyTorch takes single steps
    together = steps if keras.backend.backend() == "jax" and stream is None else 1
    learner.compile(
        optimizer=_optimizer(keras, training, steps),
        loss=None,
        steps_per_execution=together,
        jit_compile=False,
    )
    calls = 1 if whole else steps
    fed = _ticks(calls, whole) if stream is None else batches(stream, training, learner.group)
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
    return {
        name: read(keras.ops.convert_to_tensor(value))
        for name, value in learner.table(learner.flat).items()
    }


def _ticks(calls: int, whole: bool) -> Any:
    return ticks() if whole else np.zeros((calls, 1), np.float32)


def _steps(
    task: LearningTask, training: Training, stream: RowStream | None, group: WorkerGroup | None
) -> int:
    """Steps of an epoch: by rows in memory, or one pass over a stream shared by all workers."""
    if stream is None:
        return training.steps(len(task.tables["normal"]))
    return max(
        training.min_steps,
        stream.rows // (training.batch_size * (1 if group is None else group.size)),
    )


def _optimizer(keras: Any, training: Training, steps: int) -> Any:
    pace = keras.optimizers.schedules.CosineDecay(training.learning_rate, steps * training.epochs)
    try:
        return keras.optimizers.get(
            {
                "class_name": training.optimizer,
                "config": {"learning_rate": pace, "global_clipnorm": _MAX_GRADIENT_NORM},
            }
        )
    except ValueError as error:
        raise ConfigurationError(
            "expected an optimizer of Keras, such as `adam`, `rmsprop` or `sgd`, got "
            f"`{training.optimizer}`"
        ) from error


def _callbacks(
    keras: Any, learner: Any, task: LearningTask, training: Training, folder: Path | None
) -> list[Any]:
    callbacks = [_reseed(keras, learner, training.seed)]
    if training.patience and task.held:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                "val_loss", patience=training.patience, restore_best_weights=True
            )
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
        mine = 0 if learner.group is None else learner.group.index
        learner.seeds.state.assign(
            np.array([seed + mine * _WORKER_SEED_STEP, epoch * _MAX_EPOCH_DRAWS], dtype=np.uint32)
        )

    return keras.callbacks.LambdaCallback(on_epoch_begin=begin)
