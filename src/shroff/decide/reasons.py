"""Reasons: why a payment was not approved, in words that can be checked.

The model's reasons are values that are unusual *and* raised the score. Each unusual input in turn
is replaced by its typical value (the median, or the most frequent name) and the payment is scored
again: the inputs whose replacement lowers the score most are the reasons. Zeiler and Fergus,
Visualizing and Understanding Convolutional Networks, 2014. If no unusual value raised the score,
one reason names the inputs that raised it together.

`ruled` explains decisions of the policy's rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from shroff.arrays import Matrix
from shroff.collect.payment import Value
from shroff.collect.schema import Schema
from shroff.decide.codes import RULE, VALUES, Direction, code, of_column, subjects
from shroff.decide.unusual import Unusual, of_name, of_number
from shroff.decide.words import Words, column, condition, sentences
from shroff.detect.preparation import Numeric, Preparation
from shroff.features.group import FeatureGroup

Score = Callable[[Matrix], Sequence[float | None]]
"""Scores rows of inputs, float32 [n, f]; None: the model gave a row no score."""

MAX_REASONS: Final = 4
"""The most reasons of a decision, and the most inputs of one reason."""


class Reason(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Why a payment was not approved: an unusual value, values that together scored, or a rule."""

    code: Annotated[str, Meta(description="Why, as one of a stable catalogue of codes.")]
    feature: Annotated[
        str | None,
        Meta(
            description="The input, a feature or a field of the payment; a rule's name; null for "
            "several inputs."
        ),
    ]
    direction: Annotated[
        Direction, Meta(description="How it was: against what is usual, or that a rule holds.")
    ]
    value: Annotated[
        float | str | None,
        Meta(description="What the input was for this payment; null if missing, or see `values`."),
    ] = None
    typical: Annotated[
        float | str | None,
        Meta(description="Its median or most frequent value in the training data."),
    ] = None
    share: Annotated[
        float | None,
        Meta(
            description="The share of training payments, at most, with this value or one as far "
            "out, from 0 to 1."
        ),
    ] = None
    values: Annotated[
        dict[str, float | str | None],
        Meta(
            description="What a rule read, or the inputs that raised the score together, by name; "
            "otherwise empty."
        ),
    ] = {}
    text: Annotated[str, Meta(description="The reason in words, for people.")]


class Suspect(NamedTuple):
    """A payment that the model flagged: its inputs by name and as a row, and its score."""

    values: Mapping[str, Value]
    inputs: Matrix
    score: float


class Explainer:
    """Explains a model's scores.

    Args:
        conditions: the SQL conditions that are the inputs, for a model of rules.
    """

    def __init__(
        self,
        preparation: Preparation,
        groups: Sequence[FeatureGroup],
        schema: Schema,
        *,
        conditions: Sequence[str] = (),
    ) -> None:
        says: dict[str, Words] = {text: condition(text) for text in conditions} or sentences(
            groups, schema
        )
        about = dict.fromkeys(conditions, RULE) or subjects(groups, schema)
        self._names = preparation.names
        self._says = [says.get(name) or column(name, schema) for name in self._names]
        self._about = [about.get(name) or of_column(name, schema) for name in self._names]
        numeric, nominal = preparation.numeric, preparation.nominal
        medians = [one.mean if one.spread is None else one.spread.median for one in numeric]
        # a vocabulary starts with its most frequent value, whose code is 1
        self._typical: tuple[float | str, ...] = (
            *medians,
            *(one.values[0] if one.values else "" for one in nominal),
        )
        self._codes = np.array(
            [*map(_scaled, numeric, medians), *[1.0] * len(nominal)], dtype=np.float32
        )
        self._judges = (
            *map(of_number, numeric, self._about, self._says),
            *map(of_name, nominal),
        )

    def explain(self, suspects: Sequence[Suspect], score: Score) -> list[tuple[Reason, ...]]:
        """The reasons of each payment, strongest first; calls `score` at most three times in all.

        A payment has the same reasons alone and among others, if `score` does not depend on others.
        """
        unusual = [self._unusual(one) for one in suspects]
        drops = self._drops(suspects, [list(found) for found in unusual], score)
        reasons = [
            tuple([self._reason(at, one.values, found[at]) for at in strongest[:MAX_REASONS]])
            for one, found, strongest in zip(suspects, unusual, drops, strict=True)
        ]
        bare = [at for at, found in enumerate(reasons) if not found]
        if bare:
            for at, found in zip(
                bare, self._together([suspects[at] for at in bare], score), strict=True
            ):
                reasons[at] = found
        return reasons

    def _unusual(self, suspect: Suspect) -> dict[int, Unusual]:
        """The unusual inputs that differ from the typical one, by position."""
        found: dict[int, Unusual] = {}
        for at in self._atypical(suspect):
            unusual = self._judges[at](suspect.values.get(self._names[at]))
            if unusual is not None:
                found[at] = unusual
        return found

    def _atypical(self, suspect: Suspect) -> list[int]:
        atypical: list[int] = (suspect.inputs != self._codes).nonzero()[0].tolist()
        return atypical

    def _drops(
        self, suspects: Sequence[Suspect], which: Sequence[Sequence[int]], score: Score
    ) -> list[list[int]]:
        """Of each payment, the inputs whose replacement lowers its score, largest drop first."""
        counts = [len(inputs) for inputs in which]
        rows = np.repeat([one.inputs for one in suspects], counts, axis=0)
        replaced = [at for inputs in which for at in inputs]
        if not replaced:
            return [[] for _ in suspects]
        rows[np.arange(len(rows)), replaced] = self._codes[replaced]
        with np.errstate(invalid="ignore"):  # both are infinite: the input made no difference
            drops = np.repeat([one.score for one in suspects], counts) - np.array(
                score(rows), dtype=np.float64
            )
        found, start = [], 0
        for inputs, count in zip(which, counts, strict=True):
            dropped = dict(zip(inputs, drops[start : start + count].tolist(), strict=True))
            start += count
            found.append(
                sorted(
                    (at for at in inputs if dropped[at] > 0), key=dropped.__getitem__, reverse=True
                )
            )
        return found

    def _together(self, suspects: Sequence[Suspect], score: Score) -> list[tuple[Reason, ...]]:
        """One reason per payment that names usual inputs; none if no input raised the score."""
        drops = self._drops(suspects, [self._atypical(one) for one in suspects], score)
        strongest = [raised[:MAX_REASONS] for raised in drops]
        rows = np.array([one.inputs for one in suspects])
        for row, raised in zip(rows, strongest, strict=True):
            row[raised] = self._codes[raised]
        # a payment may score higher without all of them than without the strongest alone
        scores = np.array(score(rows), dtype=np.float64)
        return [
            (self._several(raised if lower < one.score else raised[:1], one.values),)
            if raised
            else ()
            for one, raised, lower in zip(suspects, strongest, scores, strict=True)
        ]

    def _reason(self, at: int, values: Mapping[str, Value], unusual: Unusual) -> Reason:
        value, words = values.get(self._names[at]), self._says[at]
        text = f"{words.tells(value)}; {unusual.text}"
        # rounding may make a value look equal to the bound that it exceeds
        if unusual.usual and words.end(value) != unusual.end:
            text += f"; {unusual.usual}"
        return Reason(
            code=code(self._about[at], unusual.direction),
            feature=self._names[at],
            direction=unusual.direction,
            value=value,
            typical=self._typical[at],
            share=unusual.share,
            text=text,
        )

    def _several(self, which: Sequence[int], values: Mapping[str, Value]) -> Reason:
        named = {self._names[at]: values.get(self._names[at]) for at in which}
        sentences = "; ".join(self._says[at].tells(values.get(self._names[at])) for at in which)
        what = "these did together" if len(which) > 1 else "this one did"
        return Reason(
            code=code(VALUES, "together"),
            feature=None,
            direction="together",
            values=named,
            text=f"no unusual value raised the score, but {what}: {sentences}",
        )


def _scaled(number: Numeric, value: float) -> float:
    return (value - number.mean) / number.std
