"""Cleaning a table: every value is typed, unusable rows are dropped and counted by reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Self

import polars as pl

from shroff.collect import money
from shroff.collect.cards import holds_card_number
from shroff.collect.columns import TypedColumn, kinds_of, read_column
from shroff.collect.conversion import Converter
from shroff.collect.currencies import payments_by_currency
from shroff.collect.lookup import LookupReader
from shroff.collect.nulls import Alike, notices
from shroff.collect.remote import Findings
from shroff.collect.schema import Scale, Schema
from shroff.collect.time_column import Twice
from shroff.collect.values import FINE, NO_CARD, NO_RATE, VALUE, expected, fits_in
from shroff.errors import BadFile, ConfigurationError, DataError, TooManyBadRows, did_you_mean

REPEATED: Final = "another id in every row"
_NO_SECOND_PASS: Final[Mapping[str, pl.Series]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class RowCounts:
    """The counts of a cleaned table of `rows` rows.

    `dropped`: dropped rows by reason; `first`: the first such row (1 = first data row), if it is
    known. `alike`: words that look like a missing value and were kept as values.
    `twice`: by column, ambiguous local times, of the hour that comes twice (`Schema.timezone`).
    `told`: what the source says that the user should check, in sentences.
    """

    rows: int
    dropped: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    alike: Alike = field(default_factory=dict)
    twice: dict[str, Twice] = field(default_factory=dict)
    told: Sequence[str] = ()

    def notices(self, schema: Schema) -> list[str]:
        """What the user should check, in sentences."""
        words = notices(self.alike, self.rows, schema.nulls)
        return [
            *self.told,
            *words,
            *(twice.notice(name, schema.timezone) for name, twice in self.twice.items()),
        ]

    def with_findings(self, findings: Findings) -> Self:
        """The same with what their source left out."""
        return replace(
            self,
            dropped={**self.dropped, **findings.left_out},
            told=[*self.told, *findings.notices],
        )


@dataclass(frozen=True, kw_only=True)
class Cleaned(RowCounts):
    """A clean table and the counts of its cleaning.

    `frame`: one row per payment in order of arrival, columns and types by `Schema.scales`.
    `currencies`: kept payments by currency, if the schema names its column.
    """

    frame: pl.DataFrame
    currencies: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _RowProblem:
    """Rows that cannot be used for one reason: `column: expected …`; `got` overrides the kind of
    value found there.
    """

    column: str
    expected: str
    where: pl.Series
    got: str = ""

    @property
    def reason(self) -> str:
        return f"{self.column}: expected {self.expected}"


def clean(
    raw: pl.DataFrame,
    schema: Schema,
    *,
    key: bytes,
    max_bad: float = 0.01,
    source: str = "the table",
    second: Mapping[str, pl.Series] = _NO_SECOND_PASS,
) -> Cleaned:
    """Read a raw table by its schema.

    Args:
        raw: columns as the source has them (CSV: all text); columns that the schema does not name
            are left out.
        key: of the HMAC over personal columns.
        max_bad: the largest accepted share of unusable rows, 0 to 1.
        source: the name of the table in errors, such as its path.
        second: by column, which ambiguous local times are of the second pass, if the table is a
            slice of a larger one; by default the order of rows decides, if it is the order of time.

    Raises:
        BadFile: a column is missing or of another type, names times without a zone, or holds card
            numbers in the open.
        TooManyBadRows: more than `max_bad` of the rows are unusable.
        ConfigurationError: `max_bad` is no share.

    >>> raw = pl.DataFrame(
    ...     {"id": ["p1"], "at": ["2024-05-04T10:00:00+02:00"], "eur": ["136.69"], "mcc": [None]}
    ... )
    >>> cleaned = clean(
    ...     raw, Schema(id="id", time="at", amount="eur", nominal=["mcc"]), key=b"k" * 32
    ... )
    >>> (
    ...     cleaned.frame["eur"].item(),
    ...     cleaned.frame["mcc"].item(),
    ...     cleaned.frame["at"].item().isoformat(),
    ... )
    (13669, None, '2024-05-04T08:00:00+00:00')
    """
    if not 0.0 <= max_bad <= 1.0:
        raise ConfigurationError(
            f"expected max_bad, a share of the rows, from 0 to 1, got {max_bad}."
        )
    require_columns(raw.columns, schema, source)
    problems: list[_RowProblem] = []
    columns: list[pl.Series] = []
    words: Alike = {}
    twice: dict[str, Twice] = {}
    for name, scale in _sent(schema):
        column = read_column(
            raw[name], scale, schema, key=key, source=source, second=second.get(name)
        )
        columns.append(column.values.alias(name))
        words |= column.alike
        twice |= {name: column.twice} if column.twice != Twice() else {}
        problems += _problems(name, scale, column, schema)
    frame, unfit = _to_minor(pl.DataFrame(columns), schema)
    problems += unfit
    if schema.rates is not None:
        frame, unfit = _converted(frame, schema, Converter(schema.rates))
        problems += unfit
    frame = (
        LookupReader(schema.lookups, schema.tables, time=schema.time)
        .columns(frame)
        .select(*schema.scales)
    )
    problems += _repeated(frame, schema, problems)
    return replace(
        _drop(frame, problems, raw, schema, max_bad=max_bad, source=source),
        alike=words,
        twice=twice,
    )


def require_clean(types: Mapping[str, pl.DataType], schema: Schema) -> None:
    """Raise `DataError` unless a table is clean: amounts in minor units, times in UTC.

    >>> raw = pl.DataFrame({"id": ["p1"], "at": ["2024-05-04T10:00:00Z"], "eur": [136.69]})
    >>> require_clean(raw.schema, Schema(id="id", time="at", amount="eur"))
    Traceback (most recent call last):
    shroff.errors.DataError: expected a clean table, got type Float64 in `eur`, which holds whole
    minor units there: \
pass a raw table to shroff.features.compute(project, table), which cleans it.
    """
    for name in (schema.amount, schema.time, schema.arrived_at):
        dtype = None if name is None else types.get(name)
        amount = name == schema.amount
        if dtype is None or (dtype.is_integer() if amount else dtype == pl.Datetime("us", "UTC")):
            continue
        holds = "whole minor units" if amount else "times in UTC with microseconds"
        raise DataError(
            f"expected a clean table, got type {dtype} in `{name}`, which holds {holds} there: "
            "pass a raw table to shroff.features.compute(project, table), which cleans it."
        )


def _sent(schema: Schema) -> Iterable[tuple[str, Scale]]:
    """The columns that a raw table has, and their scales."""
    added = schema.added
    return ((name, scale) for name, scale in schema.scales.items() if name not in added)


_JOIN_LABELS: Final = (
    "Labels of a file of their own are passed with `--labels` (beside `--warm`: `--warm-labels`); "
    "chargebacks alone are joined with the payments first (docs/howto/own-data.md shows how)."
)


def require_columns(columns: Sequence[str], schema: Schema, source: str) -> None:
    """Raise `BadFile` if a raw table lacks a column, or has one that is looked up."""
    # before a name is repeated: a file without a header has values for names
    if any(map(holds_card_number, columns)):
        raise BadFile(
            f"{source}: expected names of columns, got a card number: is its first line a header?"
        )
    scales, looked_up = schema.scales, schema.looked_up
    known = [name for name in columns if name in scales]
    for name in known:
        if name in looked_up:
            raise BadFile(
                f"{source}: column `{name}` is looked up in a reference table, and this table has "
                "one of that name: rename it, or give the lookup a `name=` of its own."
            )
    for name, scale in _sent(schema):
        if name in columns:
            continue
        hint = did_you_mean(name, columns)
        if not hint and known:
            hint = (
                f"; of the schema's columns it has {', '.join(f'`{column}`' for column in known)}."
            )
        # a file without a header has values for names: the error repeats none
        hint = hint or ", nor any other of the schema's: is its first line a header?"
        if name == schema.label and known:
            hint += f" {_JOIN_LABELS}"
        raise BadFile(f"{source}: expected a column `{name}` ({scale}), found none{hint}")


def _problems(name: str, scale: Scale, column: TypedColumn, schema: Schema) -> list[_RowProblem]:
    found: list[_RowProblem] = []
    needed = (
        name in schema.required
        or scale in ("id", "amount", "currency")
        or name in (schema.time, schema.arrived_at)
    )
    if needed and column.missing is not None:
        found.append(_RowProblem(name, VALUE, column.missing, got="none"))
    if column.cards is not None:
        found.append(_RowProblem(name, NO_CARD, column.cards, got="one"))
    if column.wrong is not None:
        found.append(
            _RowProblem(
                name,
                expected(scale, zoned=schema.timezone is not None, style=schema.number_format),
                column.wrong,
            )
        )
    return found


def _to_minor(frame: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, list[_RowProblem]]:
    """Amounts in minor units, and where an amount has more decimals than its currency."""
    currency = [] if schema.currency is None else [pl.col(schema.currency).is_not_null()]
    frame = frame.with_columns(
        money.minor(schema.amount, schema.currency, schema.default_currency).alias("\0minor"),
        pl.all_horizontal(pl.col(schema.amount).is_not_null(), *currency).alias("\0known"),
    )
    finer = frame["\0known"] & frame["\0minor"].is_null()
    problems = (
        [_RowProblem(schema.amount, FINE, finer, got="another number")] if finer.any() else []
    )
    return frame.with_columns(pl.col("\0minor").alias(schema.amount)).drop(
        "\0minor", "\0known"
    ), problems


def _converted(
    frame: pl.DataFrame, schema: Schema, converter: Converter
) -> tuple[pl.DataFrame, list[_RowProblem]]:
    """Amounts in the base currency, amounts as paid, and rows without a rate or room."""
    currency, paid = str(schema.currency), frame[schema.amount]
    base, without = converter.column(frame[currency], frame[schema.time], paid)
    large = (base > converter.most).fill_null(value=False)
    found = [
        _RowProblem(currency, NO_RATE, without, got="one without"),
        _RowProblem(schema.amount, fits_in(converter.base), large, got="a larger amount"),
    ]
    kept = base.set(large, None).cast(pl.Int64).alias(schema.amount)
    both = frame.with_columns(kept, paid.alias(str(schema.original)))
    return both, [problem for problem in found if problem.where.any()]


def _repeated(
    frame: pl.DataFrame, schema: Schema, problems: list[_RowProblem]
) -> list[_RowProblem]:
    """Rows whose id is that of a usable row that arrived earlier (ties in row order)."""
    hashes = frame[schema.id].drop_nulls().hash()
    if hashes.n_unique() == len(hashes):
        return []
    usable = ~_any(problems, len(frame))
    arrival = frame[schema.arrived_at or schema.time]
    order = pl.DataFrame(
        {"id": frame[schema.id], "arrival": arrival, "row": range(len(frame))}
    ).filter(usable)
    kept = order.sort("arrival", "row").unique("id", keep="first", maintain_order=True)["row"]
    repeated = usable.scatter(kept, values=False)
    return [_RowProblem(schema.id, REPEATED, repeated, got="one that came before")]


def _any(problems: list[_RowProblem], rows: int) -> pl.Series:
    bad = pl.Series([False]).new_from_index(0, rows)
    for problem in problems:
        bad = bad | problem.where
    return bad


def _drop(
    frame: pl.DataFrame,
    problems: list[_RowProblem],
    raw: pl.DataFrame,
    schema: Schema,
    *,
    max_bad: float,
    source: str,
) -> Cleaned:
    dropped: dict[str, int] = {}
    first: dict[str, int] = {}
    sentences: list[str] = []
    counted = pl.Series([False]).new_from_index(0, len(frame))
    for problem in problems:
        # a row is counted once, for its first reason
        for reason, got, count, row in _found(problem, problem.where & ~counted, raw, schema):
            dropped[reason], first[reason] = count, row
            sentences.append(f"{count:,} × {problem.reason}, got {got} (first in row {row:,})")
        counted = counted | problem.where
    unusable = int(counted.sum())
    require_enough(unusable, len(frame), max_bad, source, sentences)
    kept = frame.filter(~counted) if unusable else frame
    arrival = schema.arrived_at or schema.time
    kept = kept if kept[arrival].is_sorted() else kept.sort(arrival, maintain_order=True)
    counts = payments_by_currency(kept, schema)
    return Cleaned(frame=kept, rows=len(frame), dropped=dropped, first=first, currencies=counts)


def _found(
    problem: _RowProblem, where: pl.Series, raw: pl.DataFrame, schema: Schema
) -> Iterator[tuple[str, str, int, int]]:
    """Each reason to drop rows: what was found, in how many rows, and the first of them."""
    rows = where.arg_true()
    if not len(rows):
        return
    if problem.got:
        yield problem.reason, problem.got, len(rows), rows[0] + 1
        return
    values = raw[problem.column].gather(rows)
    kinds = pl.Series("got", kinds_of(values, schema.scales[problem.column], schema))
    table = pl.DataFrame({"got": kinds, "row": rows}).group_by("got", maintain_order=True)
    for got, count, first in table.agg(pl.len(), pl.col("row").first()).iter_rows():
        yield f"{problem.reason}, got {got}", got, count, first + 1


def require_enough(
    unusable: int, rows: int, max_bad: float, source: str | os.PathLike[str], reasons: Iterable[str]
) -> None:
    """Raise `TooManyBadRows` if more than the share `max_bad` of the rows are unusable."""
    if unusable > max_bad * rows:
        raise TooManyBadRows(
            f"{source}: {unusable:,} of {rows:,} rows are unusable, more than the "
            f"{100 * max_bad:g} % allowed (--max-bad; in Python, max_bad): {'; '.join(reasons)}."
        )
