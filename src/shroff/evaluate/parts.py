"""The rows of the two parts that a split makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from shroff.arrays import Ints


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of the training and of the test payments, each ascending; no row is in both.

    `left_out` has all other rows by reason: `before` the training days, in the label `delay`,
    `after` the test days, of `known_cards`; a reason without rows is absent.
    """

    train: Ints
    test: Ints
    left_out: Mapping[str, Ints] = field(default_factory=dict)

    @property
    def known_cards(self) -> Ints:
        """Rows of test days that were left out: their cards had an earlier known fraud."""
        return self.left_out.get("known_cards", np.empty(0, dtype=np.int64))

    def standing_for(self, stands: Ints) -> Split:
        """The same parts with each row as often as it stands for a payment, `stands` [rows].

        >>> Split(np.array([0, 1]), np.array([2])).standing_for(np.array([1, 3, 1])).train.tolist()
        [0, 1, 1, 1]
        """
        train, test = (np.repeat(rows, stands[rows]) for rows in (self.train, self.test))
        return replace(self, train=train, test=test)

    @property
    def once(self) -> Split:
        """The same parts with each row once, however many payments it stands for."""
        return replace(self, train=np.unique(self.train), test=np.unique(self.test))
