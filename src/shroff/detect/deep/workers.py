"""The TensorFlow code: an epoch as one function, batches from a stream, distributed training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import count
from typing import Any

from shroff.arrays import Floats32
from shroff.detect.deep.ops import Tensor
from shroff.detect.deep.stream import RowStream
from shroff.detect.deep.training import Training


class WorkerGroup:
    """The workers that `TF_CONFIG` names, training together.

    Keras 3's `fit` does not run under TensorFlow's MultiWorkerMirroredStrategy, and its own
    distribution API spans hosts on JAX only. So the strategy only averages gradients: every worker
    has its own variables, which start equal and take the same steps.
    """

    def __init__(self, tensorflow: Any, cluster: Any) -> None:
        self._tensorflow = tensorflow
        self._strategy = tensorflow.distribute.MultiWorkerMirroredStrategy()
        self.index, self.size = (
            int(cluster.task_id),
            len(cluster.cluster_spec().as_dict()["worker"]),
        )

    def mean(self, gradient: Tensor) -> Tensor:
        """The mean of all workers' gradients; waits for them."""
        tf = self._tensorflow

        def reduce(own: Tensor) -> Tensor:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, own)

        # the reduction needs a value with a device
        with tf.device(f"/job:worker/replica:0/task:{self.index}/device:CPU:0"):
            return self._strategy.run(reduce, args=(tf.identity(gradient),))


@cache
def find_worker_group() -> WorkerGroup | None:
    """The workers that `TF_CONFIG` names; None where it names fewer than two."""
    tensorflow = import_module("tensorflow")
    cluster = tensorflow.distribute.cluster_resolver.TFConfigClusterResolver()
    return (
        WorkerGroup(tensorflow, cluster)
        if len(cluster.cluster_spec().as_dict().get("worker", ())) > 1
        else None
    )


def batches(stream: RowStream, training: Training, group: WorkerGroup | None) -> Any:
    """The stream's rows in endless batches (`tf.data.Dataset`), in each worker's own order."""
    tensorflow = import_module("tensorflow")
    mine = stream if group is None else replace(stream, seed=stream.seed + group.index)
    signature = tensorflow.TensorSpec((None, stream.inputs.width), tensorflow.float32)

    def pieces() -> Iterator[Floats32]:
        for epoch in count():
            yield from mine.encoded(epoch)

    data = tensorflow.data.Dataset.from_generator(pieces, output_signature=signature).unbatch()
    return (
        data.shuffle(stream.source.chunk, seed=training.seed)
        .batch(training.batch_size, drop_remainder=True)
        .prefetch(2)
    )


def ticks() -> Any:
    """An endless data set of zeros, which drives epochs that draw their own batches.

    An array would make Keras build a pipeline of indices, shuffles and slices that takes as long as
    an epoch.
    """
    tensorflow = import_module("tensorflow")
    return tensorflow.data.Dataset.from_tensors(tensorflow.zeros((1, 1))).repeat()


@contextmanager
def plainly_built() -> Iterator[None]:
    """Switch off TensorFlow's graph rewriting: it takes longer than an epoch and saves nothing."""
    options = import_module("tensorflow").config.optimizer
    before = options.get_experimental_options().get(_REWRITES_OFF, False)
    options.set_experimental_options({_REWRITES_OFF: True})
    try:
        yield
    finally:
        options.set_experimental_options({_REWRITES_OFF: before})


_REWRITES_OFF = "disable_meta_optimizer"


def epoch_function(learner: Any, steps: int, *, streamed: bool) -> Any:
    """All steps of an epoch as one TensorFlow function.

    Keras' own traces each step twice and loops in Python.
    """
    tensorflow = import_module("tensorflow")

    group = learner.group

    def step(fed: Tensor) -> Tensor:
        with tensorflow.GradientTape() as tape:
            learner(fed, training=True)
            (loss,) = learner.losses
        gradient = tape.gradient(loss, learner.flat.value)
        learner.optimizer.apply(
            [gradient if group is None else group.mean(gradient)], [learner.flat]
        )
        return loss

    # creates the optimizer's variables now, so that the function is traced once
    learner.optimizer.build([learner.flat])

    @tensorflow.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def epoch(ticks: Any) -> dict[str, Tensor]:
        tick = None if streamed else ticks.get_next()

        def body(at: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            return at + 1, total + step(ticks.get_next() if streamed else tick)

        _, total = tensorflow.while_loop(lambda at, total: at < steps, body, (0, 0.0))
        return {"loss": total / steps}

    return epoch
