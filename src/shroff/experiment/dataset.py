"""A training dataset: payments, features, labels, and which columns detectors learn from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType

import polars as pl

from shroff.arrays import Bools, Floats, Ints, Times
from shroff.collect import Schema
from shroff.collect.currencies import codes_of, in_major, one_currency, require_one_currency
from shroff.collect.extent import fingerprint
from shroff.collect.labels import HISTORY, require_label
from shroff.collect.schema import Kind
from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean
from shroff.expression import parse
from shroff.expression.budget import require_affordable
from shroff.features.conditions import require_currencies
from shroff.features.engines.batch import compute_plan
from shroff.features.plan import Plan


@dataclass(frozen=True)
class Dataset:
    """Payments ready to learn from.

    Attributes:
        table: the clean table, amounts in major units, with one column per feature.
        numeric, nominal: the names of the inputs.
        card: the column that identifies a card, if any.
        unlabelled: how many payments of the clean table were left out because they have no label.
        left_out: payments, and frauds where known, that were left out before, by reason.
        stands: how many payments each row stands for [rows]; None: one each.
        repeats: how often detectors learn from each row besides [rows]; None: once each.
    """

    table: pl.DataFrame
    schema: Schema
    kinds: Mapping[str, Kind]
    numeric: tuple[str, ...]
    nominal: tuple[str, ...]
    card: str | None
    unlabelled: int = 0
    left_out: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    stands: Ints | None = None
    repeats: Ints | None = None

    @classmethod
    def build(
        cls,
        frame: pl.DataFrame,
        plan: Plan,
        *,
        features: pl.DataFrame | None = None,
        inputs: Sequence[str] | None = None,
        card: str | None = None,
        left_out: Mapping[str, tuple[int, int | None]] = MappingProxyType({}),
        stands: Ints | None = None,
        repeats: Ints | None = None,
    ) -> Dataset:
        """Compute the features of a clean table, unless they are given in its order, and choose the
        inputs; `stands` and `repeats` are by its rows too.

        Without `inputs`, detectors learn from the amount, the schema's numeric, nominal and
        looked-up columns, and all features.

        Raises:
            ConfigurationError: the schema has no label, or an input is an amount that is in several
                currencies.
            MixedCurrencies: a feature or an input reads amounts that are in several currencies.
            UnknownColumn: an input that is neither a column nor a feature.
        """
        schema = plan.schema
        label = require_label(schema)
        told = frame[label].is_not_null()
        labelled = _kept(frame.drop(HISTORY, strict=False), told)
        features = _kept(compute_plan(plan, frame) if features is None else features, told)
        table = labelled.with_columns(
            *in_major(schema, schema.scales), *features.drop(schema.id).get_columns()
        )
        known = {**schema.kinds, **plan.kinds}
        chosen = tuple(inputs) if inputs is not None else default_inputs(plan)
        for name in chosen:
            if name not in known or name in schema.later:
                raise UnknownColumn(f"unknown input `{name}`{did_you_mean(name, known) or '.'}")
            if name == schema.original:
                raise ConfigurationError(
                    f"the input `{name}` is in many currencies: learn from `{schema.amount}`."
                )
        read = f"the input `{schema.amount}`" if schema.amount in chosen else None
        require_one_currency(partial(codes_of, frame, schema), schema, read)
        return cls(
            table=table,
            schema=schema,
            kinds=known,
            numeric=tuple(name for name in chosen if known[name] == "number"),
            nominal=tuple(name for name in chosen if known[name] == "text"),
            card=card,
            unlabelled=frame.height - labelled.height,
            left_out=left_out,
            stands=None if stands is None else stands[told.to_numpy()],
            repeats=None if repeats is None else repeats[told.to_numpy()],
        )

    @property
    def y(self) -> Bools:
        """Fraud or not, by row."""
        return self.table[str(self.schema.label)].to_numpy()

    @property
    def currency(self) -> str | None:
        """The one currency of all amounts; None if there are several, which no input reads."""
        column, currency = self.schema.amounts_in
        return (
            currency
            if column is None
            else one_currency(codes_of(self.table, self.schema), self.schema)
        )

    @property
    def time(self) -> Times:
        """When each payment happened, datetime64[us] in UTC."""
        return self.table[self.schema.time].dt.replace_time_zone(None).to_numpy()

    @property
    def labelled(self) -> Times | None:
        """When each label arrived, datetime64[us] in UTC, not a time where that is unknown; None if
        the schema names no column for it.
        """
        moment = self.schema.labelled_at
        if moment is None:
            return None
        return self.table[moment].dt.replace_time_zone(None).to_numpy()

    @property
    def amount(self) -> Floats:
        """The amount of each payment, in major units."""
        return self.table[self.schema.amount].to_numpy()

    @cached_property
    def cards(self) -> Ints | None:
        """A card number by row, -1 without a card; None if the project names no card."""
        if self.card is None:
            return None
        # the rank, so that cards with equal scores are always in the same order
        return self.table[self.card].rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()

    def conditions(
        self, conditions: Sequence[str], lists: Mapping[str, Collection[str]]
    ) -> pl.DataFrame:
        """SQL conditions as inputs: 1.0 true, 0.0 false, null unknown."""
        known = {name: kind for name, kind in self.kinds.items() if name not in self.schema.later}
        parsed = {text: parse(text, known, list(lists)) for text in conditions}
        require_affordable("the conditions of the detector", [one.tree for one in parsed.values()])
        for condition in parsed.values():
            require_currencies(condition, self.schema, lists)
        return self.table.select(
            condition.polars(lists).cast(pl.Float64).alias(text)
            for text, condition in parsed.items()
        )

    def fingerprint(self) -> str:
        """SHA-256 over the column names and every value's hash, whatever the order of rows."""
        return fingerprint(self.table)


def _kept(table: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """The rows of a table that count: the table itself where all do, as a filter copies it."""
    return table if rows.all() else table.filter(rows)


def default_inputs(plan: Plan) -> tuple[str, ...]:
    """The inputs of a project that names none."""
    schema = plan.schema
    return tuple(
        dict.fromkeys(
            (schema.amount, *schema.numeric, *schema.nominal, *schema.looked_up, *plan.names)
        )
    )
