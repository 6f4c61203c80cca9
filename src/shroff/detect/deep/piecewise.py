"""Piecewise linear functions of columns, in every engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from shroff.arrays import Floats
from shroff.detect.deep.ops import Ops, Tensor


@dataclass(frozen=True, eq=False)
class Bends:
    """A piecewise linear function of one column, as slopes that change at knots."""

    knots: Floats
    """[1, bends]"""
    growth: Floats
    """The change of slope at each knot, [bends, 1]."""
    height: float
    """At the first knot."""
    slope: float
    """Before the first knot."""
    limit: float = np.inf
    """Values above count as this one."""

    @classmethod
    def through(cls, knots: Floats, heights: Floats, *, flat: bool = False) -> Self:
        """The function through points whose knots rise; beyond them the outer slopes continue, or
        the outer heights where it is `flat`. One point alone has a slope of 1.
        """
        if len(knots) == 1:
            return cls(knots[None, :], np.zeros((1, 1)), float(heights[0]), 1.0)
        slopes = np.diff(heights) / np.diff(knots)
        before = 0.0 if flat else float(slopes[0])
        return cls(
            knots[None, :-1],
            np.diff(slopes, prepend=before)[:, None],
            float(heights[0]),
            before,
            float(knots[-1]) if flat else np.inf,
        )

    def formula(self, ops: Ops, x: Tensor) -> Tensor:
        """[rows, 1] to [rows, 1]; missing values stay missing."""
        within = x if self.limit == np.inf else ops.minimum(x, ops.constant(self.limit))
        past = ops.matmul(
            ops.relu(ops.subtract(within, ops.constant(self.knots))), ops.constant(self.growth)
        )
        # not of `within`: a minimum may lose what is missing
        first = ops.multiply(
            ops.subtract(x, ops.constant(self.knots[:, :1])), ops.constant(self.slope)
        )
        return ops.add(ops.add(past, first), ops.constant(self.height))


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """A function per column."""

    lines: Sequence[Bends]

    def formula(self, ops: Ops, values: Tensor) -> Tensor:
        """[rows, columns] to the same shape; missing values stay missing."""
        return ops.concat(
            [line.formula(ops, ops.columns(values, [at])) for at, line in enumerate(self.lines)]
        )
