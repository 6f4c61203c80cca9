"""Reasons: which inputs of the model made a payment suspicious, in words.

Trees and linear models know what each input adds to a score: a bundle has a graph of it, and `Explainer.strongest`
reads what the graph says. For the others by occlusion: each input in turn is replaced by its typical value (a number
by its training mean, a name by the most frequent one) and the payment is scored again; the inputs whose replacement
lowers the score most are the reasons. Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from shroff.collect.payment import Value
from shroff.collect.schema import Schema
from shroff.decide.codes import RULE, Direction, Subject, code, of_column, subjects
from shroff.decide.words import Typical, Usual, Words, column, condition, sentences
from shroff.detect.preparation import MISSING, Numeric, Preparation
from shroff.features.define import FeatureGroup

Matrix = NDArray[np.float32]

MOST: Final = 4
"""How many reasons a decision gives at most."""


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One input that raised the score."""

    code: Annotated[str, Meta(description="Why, as one of a stable catalogue of codes.")]
    feature: Annotated[str, Meta(description="The input: a feature or a field of the payment.")]
    direction: Annotated[Direction, Meta(description="How `value` lies to `typical`.")]
    value: Annotated[float | str | None, Meta(description="What it was for this payment; null if missing.")]
    typical: Annotated[float | str, Meta(description="Its mean or most frequent value in the training data.")]
    text: Annotated[str, Meta(description="The reason in words, for people, with the range of usual values.")]


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
        about = dict.fromkeys(conditions, RULE) or subjects(groups, schema)
        numeric = [(one.name, one.mean) for one in preparation.numeric]
        # a vocabulary starts with its most frequent value, whose code is 1
        nominal = [(one.name, one.values[0] if one.values else "") for one in preparation.nominal]
        self._names = preparation.names
        self._typical: tuple[Typical, ...] = (*(mean for _, mean in numeric), *(name for _, name in nominal))
        self._codes = np.array([0.0] * len(numeric) + [1.0] * len(nominal), dtype=np.float32)
        self._says = [says.get(name) or column(name, schema) for name in self._names]
        self._about = [about.get(name) or of_column(name, schema) for name in self._names]
        ranges = [_usual(one, subject) for one, subject in zip(preparation.numeric, self._about, strict=False)]
        self._usual: tuple[Usual, ...] = (*ranges, *(name for _, name in nominal))

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
        added = np.zeros(len(self._names))
        added[replaced] = drops
        return self.strongest(values, added.tolist())

    def strongest(self, values: Mapping[str, Value], added: Sequence[float]) -> tuple[Reason, ...]:
        """The reasons of a payment, strongest first, from what each input [f] added to its score."""
        raised = [at for at, part in enumerate(added) if part > 0]
        raised.sort(key=added.__getitem__, reverse=True)
        return tuple([self._reason(at, values) for at in raised[:MOST]])

    def _reason(self, at: int, values: Mapping[str, Value]) -> Reason:
        name, typical = self._names[at], self._typical[at]
        value = values.get(name)
        direction = _direction(value, typical)
        return Reason(
            code=code(self._about[at], direction),
            feature=name,
            direction=direction,
            value=value,
            typical=typical,
            text=self._says[at](value, self._usual[at]),
        )


def _usual(number: Numeric, subject: Subject) -> Usual:
    # of what holds or not, how often it does says more than from 0 to 1
    if subject.kind == "truth" or number.low is None or number.high is None:
        return number.mean
    return number.low, number.high


def _direction(value: Value, typical: Typical) -> Direction:
    if value is None or value == MISSING:
        return "missing"
    if isinstance(value, str) or isinstance(typical, str):
        return "differs"
    return "above" if value > typical else "below"
