"""Reference tables: what is known of a value, such as the risk of a merchant category, by period.

>>> rows = [{"mcc": "5411", "risk": 0.1}, {"mcc": 7995.0, "risk": 3}]
>>> risks = ReferenceTable.of("mcc", rows, key="mcc", numeric=["risk"])
>>> risks.columns, risks.mark
({'mcc': ('5411', '7995'), 'risk': (0.1, 3.0)}, 'mcc c0d8a18eda560c95')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from sys import float_info
from typing import Any, Final, Protocol

import msgspec
import polars as pl
from msgspec.structs import force_setattr

from shroff.canonical import text_of
from shroff.collect.card_columns import holds_card_numbers
from shroff.collect.cards import require_no_card_number
from shroff.collect.dated_file import (
    MAX_CELL_CHARACTERS,
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_ROWS,
    PERIOD,
    Cell,
    read_dated,
)
from shroff.collect.nulls import NULLS
from shroff.collect.numbers import number_of
from shroff.collect.validity import ALWAYS, Validity, micros_of, moment, require_one_at_a_time
from shroff.errors import BadFile, ConfigurationError, did_you_mean

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Cells(Protocol):
    """The values of a column by row."""

    def __getitem__(self, row: int, /) -> Cell: ...

    def __iter__(self) -> Iterator[Cell]: ...


class LookupTable(Protocol):
    """What payments are looked up in: a reference table, or one that is packed."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def numeric(self) -> Sequence[str]:
        """The columns of numbers."""

    @property
    def values(self) -> tuple[str, ...]:
        """The columns that can be looked up."""

    @property
    def columns(self) -> Mapping[str, Cells]:
        """The values of each column by name."""

    @property
    def validity(self) -> Validity:
        """Which row holds for a key at a moment."""

    @property
    def mark(self) -> str:
        """The identity of the table: its name and the first digits of its SHA-256."""


def fits(table: LookupTable, own: LookupTable) -> bool:
    """Whether a table can replace another one: it has its columns, with numbers where it has."""
    return all(
        name in table.values and (name in table.numeric) == (name in own.numeric)
        for name in own.values
    )


class ReferenceTable(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True
):
    """What is known of a column's values, from a file (`read`) or from rows (`of`).

    A row holds from its `since`, midnight UTC if that is a date, until before its `until`, or else
    until the next row of its key; without `since` it always held. So each payment sees the row that
    was valid when it happened.

    Args:
        name: what it is called in look-ups and by `shroff tables`.
        key: the column that is looked up in; its values are compared as the one text of what they
            say.
        columns: the values of each column by name, those of the key too: texts, and numbers in the
            `numeric` ones.
        numeric: the columns of numbers.
        since: from when on each row holds, ISO 8601; empty: all always did.
        until: until when, half-open; empty: all do until the key's next row.

    Raises:
        ConfigurationError: a row without a key, a value that is no number where one should be, no
            such moment, or two rows that hold for one key at one moment.
    """

    name: str
    key: str
    columns: Mapping[str, Sequence[Cell]]
    numeric: Sequence[str] = ()
    since: Sequence[str] = ()
    until: Sequence[str | None] = ()

    def __post_init__(self) -> None:
        rows = len(next(iter(self.columns.values()), ()))
        self._check(rows)
        columns = {name: self._typed(name, cells) for name, cells in self.columns.items()}
        periods = [self._period(at) for at in range(rows)]
        order = sorted(
            range(rows), key=lambda at: (columns[self.key][at], micros_of(periods[at][0]))
        )
        force_setattr(self, "numeric", tuple(name for name in columns if name in self.numeric))
        force_setattr(
            self,
            "columns",
            {name: tuple(cells[at] for at in order) for name, cells in columns.items()},
        )
        since, until = (tuple(periods[at][end] for at in order) for end in (0, 1))
        # what says nothing takes no room
        force_setattr(self, "since", () if set(since) <= {ALWAYS} else since)
        force_setattr(self, "until", () if set(until) <= {None} else until)
        keys: Sequence[Any] = self.columns[self.key]
        require_one_at_a_time(
            keys, *self.periods, lambda at: f"the rows of `{keys[at]}` in the table `{self.name}`"
        )

    @classmethod
    def of(
        cls, name: str, rows: Iterable[Mapping[str, Any]], *, key: str, numeric: Sequence[str] = ()
    ) -> ReferenceTable:
        """A table from rows: key, values, and `since` and `until` if it does not always hold."""
        kept = list(rows)
        names = [
            one for one in dict.fromkeys(name for row in kept for name in row) if one not in PERIOD
        ] or [key]
        return cls(
            name=name,
            key=key,
            columns={one: tuple(row.get(one) for row in kept) for one in names},
            numeric=numeric,
            since=tuple(ALWAYS if (since := row.get("since")) is None else since for row in kept),
            until=tuple(row.get("until") for row in kept),
        )

    @classmethod
    def read(
        cls, path: str | Path, *, key: str, numeric: Sequence[str] = (), name: str | None = None
    ) -> ReferenceTable:
        """A table from a CSV or Parquet file with a header; `name` is by default that of the file.
        In a project's file, and in modules that it imports, the path is relative to the project's
        file.

        Blanks around the cells of a file are left out, and the null words of a log mean no value
        here too.

        Raises:
            BadFile: the file cannot be read, lacks a column, or its rows are no table.
        """
        file = read_dated(path, "a reference table", (key, *numeric), others=True)
        columns: dict[str, list[Cell]] = {
            one: cells for one, cells in file.columns.items() if one not in PERIOD
        }
        named = Path(path).stem if name is None else name
        try:
            return cls(
                name=named,
                key=key,
                columns=columns,
                numeric=numeric,
                since=file.since,
                until=file.until,
            )
        except ConfigurationError as error:
            raise BadFile(f"{path}: {error}") from None

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.columns[self.key])

    @property
    def values(self) -> tuple[str, ...]:
        """The columns that can be looked up."""
        return tuple(name for name in self.columns if name != self.key)

    @cached_property
    def validity(self) -> Validity:
        """Which row holds for a key at a moment."""
        return Validity.of(self.columns[self.key], *self.periods)  # type: ignore[arg-type]  # keys are texts

    @cached_property
    def mark(self) -> str:
        """The identity of the table: its name and the first digits of its SHA-256."""
        return f"{self.name} {sha256(msgspec.json.encode(self, order='sorted')).hexdigest()[:16]}"

    @property
    def periods(self) -> tuple[list[int], list[int | None]]:
        """From when on and until when each row holds, as `validity.periods` reads them."""
        starts = [micros_of(since) for since in self.since] or [0] * self.rows
        ends = [None if until is None else micros_of(until) for until in self.until]
        return starts, ends or [None] * self.rows

    def _check(self, rows: int) -> None:
        what = f"the table `{self.name}`"
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                "expected a reference table with a name of letters, digits, `_`, `-` and `.`, got "
                "another: give it one with name=…."
            )
        require_no_card_number(self.name, "the name of a reference table")
        for name in self.columns:
            require_no_card_number(name, "the name of a column of a reference table")
        if not 0 < rows <= MAX_ROWS:
            raise ConfigurationError(f"{what}: expected 1 to {MAX_ROWS:,} rows, got {rows:,}.")
        if len(self.columns) > MAX_COLUMNS or len(self.columns) * rows > MAX_CELLS:
            raise ConfigurationError(
                f"{what}: expected at most {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells, got "
                "more."
            )
        for name in (self.key, *self.numeric):
            if name not in self.columns:
                raise ConfigurationError(
                    f"{what}: expected a column `{name}`, found "
                    f"none{did_you_mean(name, self.columns) or '.'}"
                )
        if self.key in self.numeric or len(self.columns) < 2:
            raise ConfigurationError(f"{what}: expected a key and columns of values besides it.")
        each = [*self.columns.values(), *(one for one in (self.since, self.until) if one)]
        if any(len(one) != rows for one in each):
            raise ConfigurationError(f"{what}: expected columns of one length.")

    def _typed(self, name: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
        read = number_cell if name in self.numeric else text_cell
        typed = tuple(map(read, cells))
        for at, (cell, value) in enumerate(zip(cells, typed, strict=True), start=1):
            if value is UNFIT or (value is None and name == self.key):
                wanted = (
                    "a number such as 0.5"
                    if name in self.numeric
                    else f"a text of at most {MAX_CELL_CHARACTERS:,} characters"
                )
                got = "none" if cell is None or value is None else "another value"
                raise ConfigurationError(
                    f"the table `{self.name}`, row {at}: expected {wanted} in `{name}`, got {got}."
                )
        column = pl.Series(typed, dtype=pl.Float64 if name in self.numeric else pl.String)
        if holds_card_numbers(column):
            raise ConfigurationError(
                f"the table `{self.name}`: the values of column `{name}` look like card numbers; "
                "no table may hold any."
            )
        return typed

    def _period(self, at: int) -> tuple[str, str | None]:
        what = f"the table `{self.name}`, row {at + 1}"
        since = moment(self.since[at], what) if self.since else ALWAYS
        until = self.until[at] if self.until else None
        if until is not None:
            until = moment(until, what)
            if micros_of(until) <= micros_of(since):
                raise ConfigurationError(f"{what}: expected `until` after `since`.")
        return since, until


UNFIT: Final[Any] = object()
"""Stands for a cell that is no such value."""


def text_cell(cell: Any) -> Any:
    """The one text of a cell, None where there is no value, or `UNFIT`."""
    if not isinstance(cell, str | int | float):
        return None if cell is None else UNFIT
    text = text_of(cell)
    if text is None or text in NULLS:
        return None
    return text if len(text) <= MAX_CELL_CHARACTERS else UNFIT


def number_cell(cell: Any) -> Any:
    """The number in a cell, None where there is no value, or `UNFIT`."""
    if isinstance(cell, str):
        if text_of(cell) is None or cell in NULLS:
            return None
        number = number_of(cell)
        return UNFIT if number is None else number
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None if cell is None else UNFIT
    if cell != cell:
        return None
    return float(cell) if abs(cell) <= float_info.max else UNFIT
