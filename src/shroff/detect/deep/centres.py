"""Centres of normal rows in a latent space, and a row's soft distance to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Self

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from shroff.arrays import Floats, Rows
from shroff.detect.deep.ops import MIN_DIVISOR, NumpyOps, Ops, Tensor, TrainingOps, log_ratio

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
_SCALES = (1.0, 6.0)
"""Multiples of the temperature at which a row is compared with the centres near it."""
_EXPECTED_SHARE = 0.8
"""Share of the nearby centres' suspicion that is expected of a row."""


@dataclass(frozen=True)
class Centres:
    """k-means centres of normal rows in a latent space, with the share of rows at each.

    `distance` is the squared distance to the centres by a soft minimum,
    `-t log sum_j share_j exp(-|z - c_j|^2 / t)`: up to a constant, the negative log-likelihood of a
    mixture of round Gaussians. The temperature `t` is a fixed multiple of a normal row's typical
    squared distance per dimension. With one centre it is the squared distance. A centre that is
    remote from most rows starts at its `remoteness`: unlabelled frauds that got a centre of their
    own then do not vouch for others. `score` compares a row with the centres near it, since where
    normal rows lie far apart a distance says less: the local outlier factor of Breunig, Kriegel, Ng
    and Sander, 2000, with the kernel densities of Latecki, Lazarevic and Pokrajac, Outlier
    Detection with Kernel Density Functions, 2007.
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
    expected: Floats
    """[scales, centres], suspicion that is expected of a row near a centre; no scales while a
    network learns."""

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
        everywhere, nowhere = np.zeros((1, len(points))), np.zeros((0, len(points)))
        return cls(points, np.log(shares)[None, :], temperature, typical, everywhere, nowhere)

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
        found = replace(found, remoteness=_remoteness(found.points, shares, dirty)[None, :])
        return replace(found, expected=found._expected(shares, dirty))

    def _expected(self, shares: Floats, dirty: float) -> Floats:
        """The share of each centre's own suspicion, by scale; a remote centre counts as usual."""
        ops = NumpyOps()
        near = [self._soft(ops, self.points, scale)[0] for scale in _SCALES]
        own = np.concatenate([log_ratio(ops, one, self.typical) for one in near], axis=1).T
        usual = np.array([[_usual(row, shares, dirty)] for row in own])
        expected: Floats = _EXPECTED_SHARE * np.minimum(own, usual)
        return expected

    def distance(self, ops: Ops, z: Tensor) -> Tensor:
        """[rows, width] to the soft squared distance [rows, 1], at least 0."""
        return self._soft(ops, z)[0]

    def _soft(self, ops: Ops, z: Tensor, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        """The soft squared distance at a multiple of the temperature, the exponential of each
        centre's log term less the largest [rows, centres], and the log of their sum.
        """
        temperature = scale * self.temperature
        near, highest = self._nearness(ops, z, temperature)
        pull = ops.exp(near)
        log_pull = ops.log(ops.row_sum(pull))
        own = ops.row_sum(ops.multiply(z, z))
        total = ops.multiply(ops.add(highest, log_pull), ops.constant(temperature))
        return ops.relu(ops.subtract(own, total)), pull, log_pull

    def _nearness(self, ops: Ops, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Each centre's log term less the largest, and the largest; without |z|².

        The largest is taken out so that log-sum-exp does not overflow.
        """
        toward = (2.0 / temperature) * self.points.T
        start = (self.points**2).sum(axis=1)[None, :] + self.remoteness
        level = self.log_share - start / temperature
        near = ops.add(ops.matmul(z, ops.constant(toward)), ops.constant(level))
        highest = ops.row_max(near)
        return ops.subtract(near, highest), highest

    def distance_slope(self, ops: TrainingOps, z: Tensor) -> Tensor:
        """The gradient of each row's distance by `z`, [rows, width]."""
        near, _ = self._nearness(ops, z, self.temperature)
        pull = ops.exp(near)
        nearby = ops.matmul(pull / ops.row_sum(pull), ops.constant(self.points))
        return 2.0 * (z - nearby)

    def suspicion(self, ops: Ops, z: Tensor) -> Tensor:
        """log(1 + distance / typical): without a unit, and moderate for extreme payments."""
        return log_ratio(ops, self.distance(ops, z), self.typical)

    def score(self, ops: Ops, z: Tensor) -> Tensor:
        """The mean over the scales of a row's suspicion less what is expected near it."""
        if not len(self.expected):
            return self.suspicion(ops, z)
        total = ops.constant(0.0)
        for scale, expected in zip(_SCALES, self.expected, strict=True):
            distance, pull, log_pull = self._soft(ops, z, scale)
            weights = ops.exp(ops.multiply(log_pull, ops.constant(-1.0)))
            usual = ops.multiply(ops.matmul(pull, ops.constant(expected[:, None])), weights)
            more = ops.subtract(log_ratio(ops, distance, self.typical), usual)
            total = ops.add(total, ops.multiply(more, ops.constant(1.0 / len(_SCALES))))
        return total


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
    remoteness: Floats = np.maximum(reach - _usual(reach, shares, dirty), 0.0)
    return remoteness


def _usual(values: Floats, shares: Floats, dirty: float) -> float:
    """The value of the centres that most of the rows do not exceed."""
    rising = np.argsort(values)
    most = np.searchsorted(np.cumsum(shares[rising]), min(_NOT_REMOTE_SHARE, 1.0 - 2.0 * dirty))
    return float(values[rising[most]])


def _squared(rows: Floats, points: Floats) -> Floats:
    cross = rows @ points.T
    squared: Floats = (rows**2).sum(axis=1)[:, None] - 2.0 * cross + (points**2).sum(axis=1)
    return np.maximum(squared, 0.0)
