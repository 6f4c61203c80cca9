"""What a project's log says by the measures of regulators and card schemes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from msgspec import to_builtins

from shroff.arrays import Bools, Times
from shroff.collect import Schema
from shroff.collect.currencies import codes_of, in_major, one_currency
from shroff.collect.labels import require_label
from shroff.errors import ConfigurationError, InvalidExpression, UnknownColumn, did_you_mean
from shroff.evaluate.schemes import (
    CURRENCY,
    CountedOn,
    Instrument,
    counted_days,
    crossings,
    fraud_rates,
    quarterly_rates,
    vamp,
)
from shroff.expression import parse
from shroff.project import Project


@dataclass(frozen=True)
class Rated:
    """The PSD2 fraud rates of one type of payment: by day, by quarter, and where they crossed."""

    daily: pl.DataFrame
    quarterly: pl.DataFrame
    crossings: pl.DataFrame


@dataclass(frozen=True)
class SchemeFigures:
    """The figures of `shroff.evaluate.schemes` for the payments of a log.

    Attributes:
        payments, counted, unlabelled: of the log; of them those that meet the condition; of these
            those of which nobody knows whether they were fraud, which count as genuine.
        registered_later: frauds that count on a day after the last payment, and so in no figure.
        rates: by type of payment; empty with `refusal`, the reason in one sentence.
        vamp: Visa's ratio by month, and by merchant if merchants are told apart.
        disputes_known: whether anything says which payments were disputed.
    """

    payments: int
    counted: int
    unlabelled: int
    registered_later: int
    counted_on: CountedOn
    vamp: pl.DataFrame
    disputes_known: bool
    rates: Mapping[Instrument, Rated] = field(default_factory=dict)
    refusal: str | None = None

    def to_dict(self, *, days: bool = True) -> dict[str, Any]:
        """Everything as JSON; without `days`, of the rates by day only the last."""
        rates = {
            name: {
                "last": one.daily.row(-1, named=True),
                "quarters": one.quarterly.to_dicts(),
                "crossings": one.crossings.to_dicts(),
            }
            | ({"days": one.daily.to_dicts()} if days else {})
            for name, one in self.rates.items()
        }
        return {
            "payments": self.payments,
            "counted": self.counted,
            "unlabelled": self.unlabelled,
            "registered_later": self.registered_later,
            "counted_on": self.counted_on,
            "currency": CURRENCY,
            "refusal": self.refusal,
            "fraud_rates": rates,
            "disputes_known": self.disputes_known,
            "vamp": self.vamp.to_dicts(),
        }


def scheme_figures(
    project: Project,
    frame: pl.DataFrame,
    *,
    where: str | None = None,
    transfers: str | None = None,
    disputed: str | None = None,
    merchant: str | None = None,
    counted_on: CountedOn = "payment",
) -> SchemeFigures:
    """Rate the payments of a clean table.

    Args:
        where: SQL over the columns of the log, of the payments that count: remote and executed;
            by default all.
        transfers: SQL of those of them that are credit transfers; by default all are by card.
        disputed: SQL of those of them that were disputed, on the day on which frauds count.
        merchant: the column that tells merchants apart.
        counted_on: the day of a fraud: of its payment, or of the arrival of its label.

    Raises:
        ConfigurationError: the schema has no label, nothing says when labels arrived, no payment
            counts.
        InvalidExpression, UnknownColumn: a condition or a column does not fit the schema.
    """
    schema = project.plan.schema
    label = require_label(schema)
    if merchant is not None and merchant not in frame.columns:
        hint = did_you_mean(merchant, frame.columns) or "."
        raise UnknownColumn(f"--merchant: unknown column `{merchant}`{hint}")
    counted = _holds(where, "--where", project, frame, otherwise=True)
    # a filter that leaves nothing out would copy the table
    kept = frame if counted.all() else frame.filter(pl.Series(counted))
    if not kept.height:
        raise ConfigurationError(
            f"expected payments to rate, got none: of {frame.height:,} payments none meets the "
            "condition of --where."
        )
    day = _days(kept, schema.time, schema)
    known = None if schema.labelled_at is None else _days(kept, schema.labelled_at, schema)
    fraud = kept[label].fill_null(value=False).to_numpy()
    fraud_day = counted_days(day, fraud, known, counted_on=counted_on)
    later = fraud_day > day.max()
    fraud_day[later] = np.datetime64("NaT")
    contested = _holds(disputed, "--disputed", project, kept, otherwise=False)
    dispute_day = counted_days(day, contested, known, counted_on=counted_on)
    dispute_day[dispute_day > day.max()] = np.datetime64("NaT")
    refusal = _refuse(kept, schema)
    rates: dict[Instrument, Rated] = {}
    if refusal is None:
        transferred = _holds(transfers, "--transfers", project, kept, otherwise=False)
        both: dict[Instrument, Bools] = {"card": ~transferred, "credit_transfer": transferred}
        amount = kept[schema.amount].to_numpy()
        for name, rows in both.items():
            if rows.any():
                of_type = day[rows], amount[rows], fraud_day[rows], name
                daily = fraud_rates(*of_type)
                rates[name] = Rated(daily, quarterly_rates(*of_type), crossings(daily))
    return SchemeFigures(
        payments=frame.height,
        counted=kept.height,
        unlabelled=kept[label].null_count(),
        registered_later=int(later.sum()),
        counted_on=counted_on,
        vamp=vamp(
            day,
            fraud_day,
            dispute_day,
            None if merchant is None else kept[merchant],
        ),
        disputes_known=disputed is not None,
        rates=rates,
        refusal=refusal,
    )


def declared_figures(project: Project, frame: pl.DataFrame) -> dict[str, Any] | None:
    """The figures for the record of a run, as JSON; None where the schema names no currency, or
    amounts are not in euros.
    """
    if project.schema.currency is None or project.schema.label is None:
        return None
    found = scheme_figures(project, frame)
    return to_builtins(found.to_dict(days=False)) if found.refusal is None else None


def _days(frame: pl.DataFrame, column: str, schema: Schema) -> Times:
    zone = schema.timezone or "UTC"
    local = frame[column].dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return local.to_numpy().astype("datetime64[D]")


def _holds(
    condition: str | None, option: str, project: Project, frame: pl.DataFrame, *, otherwise: bool
) -> Bools:
    """Which payments meet a condition [n]; `otherwise` all or none, where there is none."""
    if condition is None:
        return pl.repeat(otherwise, frame.height, dtype=pl.Boolean, eager=True).to_numpy()
    schema, lists = project.plan.schema, project.policy.lists
    try:
        parsed = parse(condition, schema.kinds, list(lists))
    except (InvalidExpression, UnknownColumn) as error:
        raise type(error)(f"{option}: {error}") from None
    if parsed.kind != "boolean":
        raise InvalidExpression(
            f"{option}: expected a condition that is true or false, got a {parsed.kind}."
        )
    table = frame.with_columns(in_major(schema, schema.scales))
    met = table.select(parsed.polars(lists).fill_null(value=False).alias("met"))
    return met["met"].to_numpy()


def _refuse(frame: pl.DataFrame, schema: Schema) -> str | None:
    """Why no fraud rate can be given; None where amounts are in euros."""
    column, only = schema.amounts_in
    currency = only if column is None else one_currency(codes_of(frame, schema), schema)
    if currency == CURRENCY:
        return None
    found = "in several currencies" if currency is None else f"in {currency}"
    return (
        f"exemption threshold values are in {CURRENCY}, and the payments are {found}: declare "
        f"exchange rates with Schema(rates=Rates.read('rates.csv', base='{CURRENCY}'))."
    )
