"""The payments of a period as they were known when each was decided, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Bools, Floats, Ints
from shroff.backtest.listed import ListedThen, truths
from shroff.collect import Schema
from shroff.collect.currencies import in_major
from shroff.collect.wire import live_scales
from shroff.decide.lists import Edit, Values
from shroff.decide.model import Model
from shroff.decide.standing import kinds_of
from shroff.errors import ConfigurationError
from shroff.expression import Kind, parse
from shroff.package import Bundle

_BATCH_PAYMENTS: Final = 1_024
_TYPES: Final[Mapping[Kind, pl.DataType]] = {
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "time": pl.Datetime("us", "UTC"),
}
PASSED: Final = ("approve", "review")
PAST: Final[Mapping[str, pl.DataType]] = {
    "\0id": pl.String(),
    "\0time": pl.Int64(),
    "\0moment": pl.Int64(),
    "\0fraud": pl.Boolean(),
    "\0probability": pl.Float64(),
    "\0action": pl.String(),
    "\0decided": pl.String(),
    "\0policy": pl.String(),
    "\0propensity": pl.Float64(),
    "\0taken": pl.Boolean(),
}
"""What is known of a payment besides its values and features, in names that no column has."""


@dataclass(frozen=True, kw_only=True)
class Past:
    """Payments with their values, features and probability of then.

    Attributes:
        frame: a row per payment: values and features by name, amounts in major units, and `PAST`:
            its id, when it happened and when it was decided (microseconds since the epoch), its
            label (null: unknown), its probability of fraud (null: no model scored), and, from a
            ledger, what was done with it and what was decided by which policy, which differ where
            a control lane took it; with a control group, the propensity with which its outcome was
            let come to light, and whether it was (null: if its outcome is known).
        source: where they are from, in words.
        until: the moment of the newest event, or that until which labels have come in, see
            `matured`.
        left_out: payments that could not be replayed, by reason.
        notices: what to know of them, in sentences.
    """

    frame: pl.DataFrame
    source: str
    until: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notices: Sequence[str] = ()

    def __len__(self) -> int:
        return self.frame.height

    def numbers(self, name: str) -> Floats:
        """A column of numbers [n], NaN where it is null."""
        return self.frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()

    @property
    def time(self) -> Ints:
        """When each payment happened [n]."""
        return self.frame["\0time"].to_numpy()

    @property
    def moment(self) -> Ints:
        """When each payment was decided [n]."""
        return self.frame["\0moment"].to_numpy()

    @property
    def probability(self) -> Floats:
        """The probability of fraud [n]; NaN where no model scored."""
        return self.numbers("\0probability")

    @property
    def weight(self) -> Floats:
        """How many payments each stands for in an estimate from a control group [n]: 1 over its
        propensity, 0 where it was not taken, NaN where nothing was left to chance.
        """
        left = self.frame["\0taken"].fill_null(value=True).not_().to_numpy()
        found = 1.0 / self.numbers("\0propensity")
        return np.where(left & np.isfinite(found), 0.0, found)

    @property
    def fraud(self) -> Bools:
        """The label [n]; False where it is not known."""
        return self.frame["\0fraud"].fill_null(value=False).to_numpy()

    @property
    def labelled(self) -> Bools:
        """Whether the label is known [n]."""
        return self.frame["\0fraud"].is_not_null().to_numpy()

    def matured(self, until: int) -> Past:
        """The same payments, where labels have come in until then.

        A payment until then that was let pass and has no label is genuine. One that was declined,
        or challenged and perhaps given up, has no outcome.
        """
        passed = pl.col("\0action").is_in(PASSED) & (pl.col("\0time") <= until)
        genuine = pl.when(passed).then(pl.lit(value=False))
        fraud = pl.coalesce("\0fraud", genuine).alias("\0fraud")
        return replace(self, frame=self.frame.with_columns(fraud), until=until)

    def between(self, since: int | None, until: int | None) -> Past:
        """The payments that happened from `since` on and before `until`."""
        if (since is None or since <= self.time.min(initial=since)) and until is None:
            return self
        kept = pl.lit(value=True)
        if since is not None:
            kept &= pl.col("\0time") >= since
        if until is not None:
            kept &= pl.col("\0time") < until
        return replace(self, frame=self.frame.filter(kept))

    def reading(self, columns: Iterable[str]) -> Past:
        """The same payments with these columns only, which take less to filter."""
        names = {*columns, *PAST}
        return replace(
            self, frame=self.frame.select(one for one in self.frame.columns if one in names)
        )

    def aligned(self, other: Past) -> Past:
        """These payments in the order of another past's, without those that it lacks."""
        rows = other.frame.select("\0id").join(
            self.frame, on="\0id", how="inner", maintain_order="left"
        )
        return replace(self, frame=rows.select(self.frame.columns))


def card_numbers(cards: pl.Series) -> Ints:
    """A number per card [n], -1 where a payment has none; ask for few: it sorts texts."""
    return cards.rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()


def many_cards(numbers: Ints) -> int:
    """How many cards these numbers of `card_numbers` are; a payment without one counts alone."""
    return len(np.unique(numbers[numbers >= 0])) + int((numbers < 0).sum())


def columns_of(bundle: Bundle, frame: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """What rules, costs and the model read of payments, as the decider gets it.

    Args:
        frame: a clean table, and `features` of it in its order.
    """
    schema = bundle.schema
    sent = {*live_scales(schema), *schema.looked_up} - {schema.id}
    major = frame.with_columns(in_major(schema, schema.scales))
    known = {name: major[name] for name in major.columns if name in sent | _added(schema)}
    known |= {name: features[name] for name in features.columns if name != schema.id}
    missing = pl.Series([None], dtype=pl.Null)
    return pl.DataFrame(
        [
            known[name].alias(name)
            if name in known
            else missing.cast(_TYPES[kind]).new_from_index(0, frame.height).alias(name)
            for name, kind in kinds_of(bundle).items()
        ]
    )


def _added(schema: Schema) -> set[str]:
    return set() if schema.original is None else {schema.original}


def probabilities(
    bundle: Bundle, table: pl.DataFrame, moments: Ints, lists: Values, edits: Iterable[Edit]
) -> Floats:
    """The probability of fraud of payments [n] by a bundle's model; NaN where it gives none.

    Args:
        table: as `columns_of` makes it.
        moments: when each was decided, for the lists that a model of rules reads.
        lists: those of the policy, `edits` all that were made of them.
    """
    inputs = table
    if bundle.conditions:
        kinds = kinds_of(bundle)
        asked = [parse(text, kinds, list(lists)) for text in bundle.conditions]
        held = truths(asked, table, moments, ListedThen(lists, edits))
        inputs = pl.DataFrame(
            [each.cast(pl.Float64).alias(one.sql) for one, each in zip(asked, held, strict=True)]
        )
    model = Model(bundle.model, bundle.preparation)
    scores = np.concatenate(
        [np.empty(0), *(model.score(rows) for rows in _matrices(bundle, inputs))]
    )
    usable = np.isfinite(scores)
    found = np.full(len(scores), np.nan)
    found[usable] = bundle.calibration.probability(scores[usable])
    return found


def _matrices(bundle: Bundle, inputs: pl.DataFrame) -> Iterator[np.ndarray]:
    for start in range(0, inputs.height, _BATCH_PAYMENTS):
        yield bundle.preparation.matrix(inputs[start : start + _BATCH_PAYMENTS])


def require_one_currency(bundle: Bundle) -> None:
    """Raise `ConfigurationError` if the bundle's payments are in several currencies."""
    if bundle.currency is None and bundle.schema.amounts_in[0] is not None:
        raise ConfigurationError(
            "the payments of this model are in several currencies, and a backtest adds money: "
            "declare exchange rates with Schema(rates=…) and train again."
        )
