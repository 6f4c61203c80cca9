"""How a network learns: its loss, its rows, its schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import ClassVar

import numpy as np

from shroff.arrays import Rows
from shroff.detect.deep.ops import Tensor, TrainingOps
from shroff.errors import ConfigurationError


@dataclass(frozen=True)
class Training:
    """The schedule of a network's training.

    Attributes:
        epochs: passes over the normal rows, each of `min_steps` to `max_steps` steps, so that small
            and large tables train for a similar time.
        batch_size: rows per step.
        learning_rate: size of the first step; it falls to 0 along a cosine.
        optimizer: Keras' name of it.
        patience: epochs without a lower held-out loss before training stops; 0: never.
        seed: seed of batches and noise.

    Raises:
        ConfigurationError: a value out of range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str
    patience: int
    seed: int
    min_steps: int = 10
    max_steps: int = 40

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 2 or self.patience < 0:
            raise ConfigurationError(
                "expected epochs and patience of at least 0 and a batch_size of at least 2, got "
                f"{self.epochs}, {self.patience} and {self.batch_size}"
            )
        if not self.learning_rate > 0:
            raise ConfigurationError(f"expected a learning_rate above 0, got {self.learning_rate}")

    def steps(self, rows: int) -> int:
        """Steps per epoch over that many rows."""
        return int(np.clip(ceil(rows / self.batch_size), self.min_steps, self.max_steps))


@dataclass(frozen=True)
class LearningTask(ABC):
    """A loss to minimise over batches drawn from tables of rows.

    `tables` has the rows to learn from, `normal` among them; `held` has held-out rows, or is empty.
    """

    name: ClassVar[str]
    tables: Mapping[str, Rows]
    held: Mapping[str, Rows] = field(default_factory=dict, kw_only=True)
    l1: float = field(default=0.0, kw_only=True)
    l2: float = field(default=0.0, kw_only=True)

    @abstractmethod
    def loss(
        self, ops: TrainingOps, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> Tensor:
        """The loss of one batch, [1, 1], without the penalty of the kernels."""

    def trains(self, name: str) -> bool:
        """Whether the named weight is learned by gradient."""
        return name.endswith(("/kernel", "/bias"))

    def penalty(self, ops: TrainingOps, kernels: Tensor) -> Tensor:
        """The L1 and L2 penalty of all kernels in one row [1, numbers]: [1, 1], or 0."""
        total: Tensor = 0.0
        if self.l1:
            total = total + self.l1 * ops.row_sum(ops.absolute(kernels))
        if self.l2:
            total = total + self.l2 * ops.row_sum(ops.square(kernels))
        return total
