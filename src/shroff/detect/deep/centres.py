"""Centres of normal rows in a latent space, and a row's soft distance to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Self

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from shroff.arrays import Floats, Rows
from shroff.detect.deep.ops import MIN_DIVISOR, Ops, Tensor, TrainingOps, log_ratio

_BANDWIDTH = 16.0
"""Temperature as a multiple of the typical squared distance per dimension."""
_MAX_TYPICAL_DISTANCES = 4.0
"""Limit of the temperature, in typical squared distances."""
MAX_TRAINING_CENTRES = 256
"""Most centres while a network learns: a step takes as long as there are centres."""
_MAX_COORDINATES = 32_768
"""Coordinates of all centres together, which bound the time to score a payment."""
_MAX_CLUSTERED_ROWS = 20_000
_SCALE_ROWS = 4_096
"""Evenly spaced rows whose median distance is the typical one."""
_NEAR_SHARE = 0.01
"""The nearest share of the rows, whose distance tells whether a centre is remote."""
_NOT_REMOTE_SHARE = 0.95
"""Share of the rows whose centres are not remote."""


@dataclass(frozen=True)
class Centres:
    """k-means centres of normal rows in a latent space, with the share of rows at each.

    `distance` is the squared distance to the centres by a soft minimum,
    `-t log sum_j share_j exp(-|z - c_j|^2 / t)`: up to a constant, the negative log-likelihood of a
    mixture of round Gaussians. The temperature `t` is a fixed multiple of a normal row's typical
    squared distance per dimension. With one centre it is the squared distance. A centre that is
    remote from most rows starts at its `remoteness`: unlabelled frauds that got a centre of their
    own then do not vouch for others.
    """

    points: Floats
    """[centres, width]"""
    log_share: Floats
    """[1, centres]"""
    temperature: float
    typical: float
    """A normal row's median squared distance to its nearest centre."""
    remoteness: Floats
    """[1, centres], squared distance that a row at a centre has already."""

    @classmethod
    def learn(cls, latent: Rows, count: int, *, seed: int) -> Self:
        """At most `count` centres of `latent` rows [rows, width], each with at least four rows."""
        rng = np.random.default_rng(seed)
        rows = (
            latent
            if len(latent) <= _MAX_CLUSTERED_ROWS
            else latent[rng.choice(len(latent), _MAX_CLUSTERED_ROWS, replace=False)]
        )
        count = max(1, min(count, len(rows) // 4))
        if count == 1:
            return cls.around(rows, rows.mean(axis=0, keepdims=True, dtype=np.float64), np.ones(1))
        found = MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=1024).fit(rows)
        sizes = np.bincount(found.labels_, minlength=count) + 0.5
        return cls.around(rows, found.cluster_centers_.astype(np.float64), sizes / sizes.sum())

    @classmethod
    def around(cls, latent: Rows, points: Floats, shares: Floats) -> Self:
        """Centres at `points`, with the scales of the rows `latent`."""
        rows = latent[:: ceil(len(latent) / _SCALE_ROWS)].astype(np.float64)
        gaps = _squared(rows, points).min(axis=1)
        typical = max(float(np.median(gaps)), MIN_DIVISOR)
        temperature = typical * min(_BANDWIDTH / points.shape[1], _MAX_TYPICAL_DISTANCES)
        everywhere = np.zeros((1, len(points)))
        return cls(points, np.log(shares)[None, :], temperature, typical, everywhere)

    def scaled_to(self, latent: Rows) -> Self:
        """The same centres with the scales of other rows."""
        return self.around(latent, self.points, np.exp(self.log_share[0]))

    def refined(self, latent: Rows, count: int, *, seed: int, dirty: float = 0.0) -> Self:
        """Centres for scoring, once the rows have moved: up to `count`, more where rows are narrow.

        A single centre stays where training has gathered the rows. `dirty` is the share of the rows
        that are expected to be unlabelled frauds: the larger, the more centres count as remote.
        """
        if len(self.points) == 1:
            return self.scaled_to(latent)
        most = max(MAX_TRAINING_CENTRES, _MAX_COORDINATES // latent.shape[1])
        found = self.learn(latent, min(count, most), seed=seed)
        shares = np.exp(found.log_share[0])
        return replace(found, remoteness=_remoteness(found.points, shares, dirty)[None, :])

    def distance(self, ops: Ops, z: Tensor) -> Tensor:
        """[rows, width] to the soft squared distance [rows, 1], at least 0."""
        near, highest = self._nearness(ops, z)
        total = ops.add(highest, ops.log(ops.row_sum(ops.exp(near))))
        own = ops.row_sum(ops.multiply(z, z))
        return ops.relu(ops.subtract(own, ops.multiply(total, ops.constant(self.temperature))))

    def _nearness(self, ops: Ops, z: Tensor) -> tuple[Tensor, Tensor]:
        """Each centre's log term less the largest, and the largest; without |z|².

        The largest is taken out so that log-sum-exp does not overflow.
        """
        toward = (2.0 / self.temperature) * self.points.T
        start = (self.points**2).sum(axis=1)[None, :] + self.remoteness
        level = self.log_share - start / self.temperature
        near = ops.add(ops.matmul(z, ops.constant(toward)), ops.constant(level))
        highest = ops.row_max(near)
        return ops.subtract(near, highest), highest

    def distance_slope(self, ops: TrainingOps, z: Tensor) -> Tensor:
        """The gradient of each row's distance by `z`, [rows, width]."""
        near, _ = self._nearness(ops, z)
        pull = ops.exp(near)
        nearby = ops.matmul(pull / ops.row_sum(pull), ops.constant(self.points))
        return 2.0 * (z - nearby)

    def suspicion(self, ops: Ops, z: Tensor) -> Tensor:
        """log(1 + distance / typical): without a unit, and moderate for extreme payments."""
        return log_ratio(ops, self.distance(ops, z), self.typical)


def _remoteness(points: Floats, shares: Floats, dirty: float) -> Floats:
    """How much larger than usual each centre's mean squared distance to the nearest rows is.

    The distance to a measure at witnesses: Guibas, Mérigot and Morozov, Witnessed k-Distance, 2013.
    """
    squared = _squared(points, points)
    order = np.argsort(squared, axis=1)
    squared, near = np.take_along_axis(squared, order, axis=1), shares[order]
    share = max(_NEAR_SHARE, dirty)
    used = np.clip(share - (np.cumsum(near, axis=1) - near), 0.0, near)
    reach: Floats = (used * squared).sum(axis=1) / share
    rising = np.argsort(reach)
    usual = np.searchsorted(np.cumsum(shares[rising]), min(_NOT_REMOTE_SHARE, 1.0 - 2.0 * dirty))
    remoteness: Floats = np.maximum(reach - reach[rising[usual]], 0.0)
    return remoteness


def _squared(rows: Floats, points: Floats) -> Floats:
    cross = rows @ points.T
    squared: Floats = (rows**2).sum(axis=1)[:, None] - 2.0 * cross + (points**2).sum(axis=1)
    return np.maximum(squared, 0.0)
