"""Reasons: which inputs of the model made a payment suspicious, in words.

By occlusion: each input in turn is replaced by its typical value (a number by its training mean, a name by
the most frequent one) and the payment is scored again. The inputs whose replacement lowers the score most are
the reasons. Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from shroff.collect.payment import Value
from shroff.collect.schema import Schema
from shroff.decide.words import Typical, Words, column, condition, sentences
from shroff.detect.preparation import Preparation
from shroff.features.define import FeatureGroup

Matrix = NDArray[np.float32]
Direction = Literal["above", "below", "differs", "missing"]

MOST: Final = 4
"""How many reasons a decision gives at most."""


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One input that raised the score.

    `code` is stable (the input's name in upper case); `direction` says how `value` lies to `typical`, the mean
    or the most frequent value of the training rows; `text` is for people.
    """

    code: str
    feature: str
    direction: Direction
    value: float | str | None
    typical: float | str
    text: str


class Explainer:
    """Finds the reasons of a score.

    Args:
        conditions: the SQL conditions that are the inputs, for a model of rules.

    `occlude` gives the rows to score, `reasons` reads their scores: so that a caller can score the rows of
    many payments at once.
    """

    def __init__(
        self,
        preparation: Preparation,
        groups: Sequence[FeatureGroup],
        schema: Schema,
        *,
        conditions: Sequence[str] = (),
    ) -> None:
        says: dict[str, Words] = {text: condition(text) for text in conditions} or sentences(groups, schema)
        numeric = [(one.name, one.mean) for one in preparation.numeric]
        # a vocabulary starts with its most frequent value, whose code is 1
        nominal = [(one.name, one.values[0] if one.values else "") for one in preparation.nominal]
        self._names = preparation.names
        self._typical: tuple[Typical, ...] = (*(mean for _, mean in numeric), *(name for _, name in nominal))
        self._codes = np.array([0.0] * len(numeric) + [1.0] * len(nominal), dtype=np.float32)
        self._says = [says.get(name) or column(name, schema) for name in self._names]

    def occlude(self, inputs: Matrix) -> tuple[NDArray[np.int64], Matrix]:
        """The inputs [f] once for each of them that is not typical, with that one replaced.

        Returns:
            Which input each row replaces, int64 [n], and the rows, float32 [n, f].
        """
        replaced = np.flatnonzero(inputs != self._codes)
        rows = np.empty((len(replaced), len(inputs)), dtype=np.float32)
        rows[:] = inputs
        rows[np.arange(len(replaced)), replaced] = self._codes[replaced]
        return replaced, rows

    def reasons(
        self, values: Mapping[str, Value], score: float, replaced: NDArray[np.int64], scores: Sequence[float]
    ) -> tuple[Reason, ...]:
        """The reasons of a payment that scored `score`, strongest first.

        Args:
            values: the payment's inputs by name, as they were before preparation.
            scores: what the rows of `occlude` scored.
        """
        with np.errstate(invalid="ignore"):  # both infinite: that input made no difference
            drops = score - np.asarray(scores, dtype=np.float64)
        strongest = np.argsort(-drops, kind="stable")[:MOST]
        return tuple([self._reason(int(replaced[at]), values) for at in strongest if drops[at] > 0])

    def _reason(self, at: int, values: Mapping[str, Value]) -> Reason:
        name, typical = self._names[at], self._typical[at]
        value = values.get(name)
        return Reason(
            code=name.upper(),
            feature=name,
            direction=_direction(value, typical),
            value=value,
            typical=typical,
            text=self._says[at](value, typical),
        )


def _direction(value: Value, typical: Typical) -> Direction:
    if value is None:
        return "missing"
    if isinstance(value, str) or isinstance(typical, str):
        return "differs"
    return "above" if value > typical else "below"
