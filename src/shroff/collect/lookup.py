"""Look-ups: columns of a payment from the row of a reference table valid at its time.

A payment is looked up once, when it is read, as its amount is converted; then a looked-up column is
a column as any other, so no engine knows of tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import polars as pl
from msgspec.structs import force_setattr

from shroff.collect.tables import UNFIT, LookupTable, number_cell, text_cell
from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column that is looked up in a reference table, as `lookup` makes it."""

    column: str
    on: str
    table: str = ""
    name: str = ""
    default: str | float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            force_setattr(self, "name", self.column)
        if self.default is not None:
            read = text_cell if isinstance(self.default, str) else number_cell
            if (default := read(self.default)) in (None, UNFIT):
                raise ConfigurationError(
                    f"lookup `{self.name}`: expected a default that is a text or a finite number."
                )
            force_setattr(self, "default", default)


def lookup(
    column: str, *, on: str, table: str = "", name: str = "", default: str | float | None = None
) -> Lookup:
    """A column of the payment that is looked up in a reference table, in the row that was valid
    when it happened.

    It is null where the payment has no value in `on`, and where the row has none. Texts become a
    nominal column, numbers a numeric one: features, conditions, rules and models read it as any
    other.

    Args:
        column: the table's column with the values.
        on: the payment's column that is looked for among the table's keys: a key, a nominal column,
            the currency, or a text that was looked up before.
        table: the table's name, where several have such a column.
        name: what it is called in the payment; by default as in the table.
        default: its value where no row of the key was valid; by default null.

    Raises:
        ConfigurationError: where the schema is defined, the look-up does not fit the table or the
            payment.

    >>> from shroff import ReferenceTable, Schema, lookup
    >>> risks = ReferenceTable.of(
    ...     "mcc", [{"mcc": "7995", "mcc_risk": 3}], key="mcc", numeric=["mcc_risk"]
    ... )
    >>> Schema(
    ...     id="id",
    ...     time="at",
    ...     amount="amount",
    ...     nominal=["mcc"],
    ...     tables=[risks],
    ...     lookups=[lookup("mcc_risk", on="mcc")],
    ... ).kinds["mcc_risk"]
    'number'
    """
    return Lookup(column, on, table, name, default)


def table_of(one: Lookup, tables: Sequence[LookupTable]) -> LookupTable:
    """The table that a look-up reads.

    Raises:
        UnknownColumn: none has its column.
        ConfigurationError: several have.
    """
    named = [table for table in tables if one.table in ("", table.name)]
    if not named:
        hint = (
            did_you_mean(one.table, [table.name for table in tables])
            or "; declare it in Schema(tables=[…])."
        )
        which = f"table `{one.table}`" if one.table else "reference table"
        raise UnknownColumn(f"lookup `{one.name}`: there is no {which}{hint}")
    found = [table for table in named if one.column in table.values]
    if not found:
        hint = did_you_mean(one.column, [name for table in named for name in table.values]) or "."
        raise UnknownColumn(
            f"lookup `{one.name}`: no reference table has a column `{one.column}`{hint}"
        )
    if len(found) > 1:
        names = " and ".join(f"`{table.name}`" for table in found)
        raise ConfigurationError(
            f"lookup `{one.name}`: the tables {names} have such a column; name one with table=…."
        )
    return found[0]


def tables_read(
    lookups: Sequence[Lookup], tables: Sequence[LookupTable]
) -> tuple[LookupTable, ...]:
    """The tables that look-ups read, each once."""
    return tuple(
        {table.name: table for table in (table_of(one, tables) for one in lookups)}.values()
    )


def require_fit(
    lookups: Sequence[Lookup],
    tables: Sequence[LookupTable],
    texts: Iterable[str],
    taken: Iterable[str],
) -> None:
    """Raise where look-ups do not fit the tables or the payment.

    Args:
        texts: the payment's columns that may be looked for.
        taken: all of its columns.
    """
    names = [table.name for table in tables]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"Schema(tables=…): two tables are called `{name}`; name one of them otherwise."
            )
    known, used = set(texts), set(taken)
    for one in lookups:
        table = table_of(one, tables)
        if one.name in used:
            raise ConfigurationError(
                f"column `{one.name}` is looked up in the table `{table.name}` and named elsewhere "
                "too; give the lookup a `name=` of its own."
            )
        if one.on not in known:
            hint = (
                did_you_mean(one.on, known)
                or "; it is looked for a key, a nominal column or the currency."
            )
            raise UnknownColumn(
                f"lookup `{one.name}`: the payment has no column of names `{one.on}`{hint}"
            )
        numeric = one.column in table.numeric
        if one.default is not None and isinstance(one.default, str) is numeric:
            raise ConfigurationError(
                f"lookup `{one.name}`: expected a default that is a "
                f"{'number' if numeric else 'text'} as its column."
            )
        used.add(one.name)
        known |= set() if numeric else {one.name}


class LookupReader:
    """Looks up the columns of payments, one payment or a whole table, to the same values."""

    def __init__(
        self, lookups: Sequence[Lookup], tables: Sequence[LookupTable], *, time: str
    ) -> None:
        self.tables = tuple(tables)
        self._time = time
        used = tables_read(lookups, tables)
        self.marks = tuple(table.mark for table in used)
        """The identities of the tables that are read."""
        validity = {table.name: table.validity for table in used}
        self._each = [
            (one, validity[table.name], table.columns[one.column], one.column in table.numeric)
            for one in lookups
            for table in [table_of(one, tables)]
        ]

    def add(self, values: dict[str, Any], time: int) -> None:
        """Add the looked-up columns to the values of a payment; `time` is in microseconds."""
        for one, validity, cells, _ in self._each:
            key = values[one.on]
            row = -1 if key is None else validity.row(key, time)
            values[one.name] = cells[row] if row >= 0 else None if key is None else one.default

    def columns(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A table of payments with the columns that are looked up."""
        for one, validity, cells, numeric in self._each:
            keys = frame[one.on]
            rows = pl.Series(validity.rows(keys, frame[self._time]))
            dtype: type[pl.DataType] = pl.Float64 if numeric else pl.String
            found = pl.Series(one.name, [*cells], dtype=dtype).gather(rows.set(rows < 0, None))
            unknown = (rows < 0) & keys.is_not_null()
            default = pl.Series([one.default], dtype=dtype).new_from_index(0, len(frame))
            frame = frame.with_columns(
                found if one.default is None else default.zip_with(unknown, found).alias(one.name)
            )
        return frame
