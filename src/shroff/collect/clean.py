"""Cleaning a table of payments: every value typed, every unusable row dropped and counted by reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from shroff.collect import money
from shroff.collect.personal import looks_like_card_numbers, tokens
from shroff.collect.schema import UNDEFINED, Scale, Schema
from shroff.collect.times import has_naive, parse_times
from shroff.errors import BadFile, TooManyBadRows, did_you_mean

_TRUE = ("1", "true", "t", "yes")
_FALSE = ("0", "false", "f", "no")


@dataclass(frozen=True)
class Cleaned:
    """A clean table and what it took to get there.

    `frame`: one row per payment in order of arrival, columns and types by `Schema.scales`.
    `dropped`: how many rows were dropped for which reason; `first`: the first such row (1 = first data row).
    """

    frame: pl.DataFrame
    rows: int
    dropped: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)


def clean(
    raw: pl.DataFrame, schema: Schema, *, key: bytes, max_bad: float = 0.01, source: str = "the table"
) -> Cleaned:
    """Read a raw table by its schema.

    Args:
        raw: columns as the source has them (CSV: all text); columns that the schema does not name are left out.
        key: key of the HMAC over personal columns.
        max_bad: largest share of unusable rows that is still accepted.
        source: what to call the table in errors, such as its path.

    Raises:
        BadFile: a column is missing, names times without a zone, or holds card numbers in the open.
        TooManyBadRows: more than `max_bad` of the rows are unusable.
    """
    _check_columns(raw, schema, source)
    columns: list[pl.Series] = []
    problems: dict[str, pl.Series] = {}
    for name, scale in schema.scales.items():
        column, wrong = _read(raw, name, scale, schema, key, source)
        columns.append(column)
        if wrong is not None:
            problems[f"{name}: {_EXPECTED[scale]}"] = wrong
        if _needed(name, scale, schema):
            problems[f"{name}: a value is missing"] = _absent(raw[name])
    frame = pl.DataFrame(columns)
    frame, problems[f"{schema.amount}: expected an amount no finer than its currency's smallest unit"] = _to_minor(
        frame, schema
    )
    problems[f"{schema.id}: the same id came before"] = _repeated(frame, schema, problems)
    return _drop(frame, problems, schema, max_bad=max_bad, source=source)


_EXPECTED: dict[Scale, str] = {
    "id": "expected an id",
    "time": "expected an ISO 8601 date and time",
    "amount": "expected a number not below 0",
    "currency": "expected an ISO 4217 currency code",
    "label": "expected 0 or 1",
    "numeric": "expected a number",
}


def _check_columns(raw: pl.DataFrame, schema: Schema, source: str) -> None:
    for name, scale in schema.scales.items():
        if name not in raw.columns:
            hint = did_you_mean(name, raw.columns) or f"; it has {', '.join(f'`{c}`' for c in raw.columns)}."
            raise BadFile(f"{source}: expected a column `{name}` ({scale}), found none{hint}")


def _needed(name: str, scale: Scale, schema: Schema) -> bool:
    return name in schema.required or name in (schema.id, schema.time, schema.amount) or scale == "currency"


def _absent(column: pl.Series) -> pl.Series:
    empty = column.is_null()
    return empty | (column == "").fill_null(value=False) if column.dtype == pl.String else empty


def _read(
    raw: pl.DataFrame, name: str, scale: Scale, schema: Schema, key: bytes, source: str
) -> tuple[pl.Series, pl.Series | None]:
    """One column typed by its scale, and where a value that is there could not be read."""
    column = raw[name]
    if scale == "time":
        if schema.timezone is None and has_naive(column):
            raise BadFile(
                f"{source}: column `{name}` has times that name no zone; expected `…Z` or `…+01:00`: "
                "declare the zone they are in with Schema(timezone=…)."
            )
        return _checked(column, lambda: parse_times(column, schema.timezone))
    if scale in ("amount", "numeric"):
        return _checked(column, lambda: _numbers(column, minimum=0.0 if scale == "amount" else None))
    if scale == "label":
        return _checked(column, lambda: _flags(column))
    text = column.cast(pl.String)
    text = text.set(text == "", None)
    if scale == "personal":
        return tokens(text, key), None
    if looks_like_card_numbers(text):
        raise BadFile(
            f"{source}: the values of column `{name}` look like card numbers; "
            f"declare it with Schema(personal=[…, '{name}']) so that only keyed hashes are kept."
        )
    if scale == "currency":
        return _checked(column, lambda: text.set(~text.is_in(list(money.EXPONENT)), None))
    return (text.fill_null(UNDEFINED) if scale == "nominal" else text), None


def _checked(column: pl.Series, read: Callable[[], pl.Series]) -> tuple[pl.Series, pl.Series]:
    values = read()
    return values, values.is_null() & ~_absent(column)


def _numbers(column: pl.Series, *, minimum: float | None) -> pl.Series:
    source = column.str.strip_chars() if column.dtype == pl.String else column
    numbers = source.cast(pl.Float64, strict=False)
    bad = ~numbers.is_finite() if minimum is None else ~numbers.is_finite() | (numbers < minimum)
    return numbers.set(bad.fill_null(value=False), None)


def _flags(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Boolean:
        return column
    if column.dtype.is_numeric():
        column = column.cast(pl.Float64).replace_strict([0.0, 1.0], ["0", "1"], default=None, return_dtype=pl.String)
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    return text.replace_strict(
        [*_TRUE, *_FALSE], [True] * len(_TRUE) + [False] * len(_FALSE), default=None, return_dtype=pl.Boolean
    )


def _to_minor(frame: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, pl.Series]:
    """Amounts in minor units, and where an amount has more decimals than its currency."""
    scaled = frame.select(
        pl.col(schema.amount) * pl.lit(10.0).pow(money.exponent(schema.currency, schema.default_currency))
    ).to_series()
    minor = scaled.round()
    # the same tolerance as money.minor_units
    fine = (scaled - minor).abs() > scaled.abs() * 1e-15 + 1e-9
    return frame.with_columns(minor.cast(pl.Int64).alias(schema.amount)), fine.fill_null(value=False)


def _repeated(frame: pl.DataFrame, schema: Schema, problems: dict[str, pl.Series]) -> pl.Series:
    """Where an id was seen on a row that arrived earlier (ties in row order) and is usable."""
    usable = ~_any(problems, len(frame))
    arrival = frame[schema.arrived_at or schema.time]
    order = pl.DataFrame({"id": frame[schema.id], "arrival": arrival, "row": range(len(frame))}).filter(usable)
    kept = order.sort("arrival", "row").unique("id", keep="first", maintain_order=True)["row"]
    repeated = usable.clone()
    return repeated.scatter(kept, values=False) if len(kept) else repeated


def _any(problems: dict[str, pl.Series], rows: int) -> pl.Series:
    bad = pl.Series([False]).new_from_index(0, rows)
    for where in problems.values():
        bad = bad | where
    return bad


def _drop(
    frame: pl.DataFrame, problems: dict[str, pl.Series], schema: Schema, *, max_bad: float, source: str
) -> Cleaned:
    bad = _any(problems, len(frame))
    dropped: dict[str, int] = {}
    first: dict[str, int] = {}
    counted = pl.Series([False]).new_from_index(0, len(frame))
    for reason, where in problems.items():
        # a row counts once, for its first reason
        fresh = where & ~counted
        if count := int(fresh.sum()):
            dropped[reason] = count
            first[reason] = int(fresh.arg_max() or 0) + 1
        counted = counted | where
    unusable = int(bad.sum())
    if unusable > max_bad * len(frame):
        reasons = "; ".join(f"{n:,} × {reason} (first in row {first[reason]:,})" for reason, n in dropped.items())
        raise TooManyBadRows(
            f"{source}: {unusable:,} of {len(frame):,} rows are unusable, more than the {max_bad:.1%} allowed "
            f"(--max-bad): {reasons}."
        )
    kept = frame.filter(~bad).sort(schema.arrived_at or schema.time, maintain_order=True)
    return Cleaned(frame=kept, rows=len(frame), dropped=dropped, first=first)
