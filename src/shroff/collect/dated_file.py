"""Files of dated tables: exchange rates and reference tables, from CSV or Parquet, row by row with its place."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from shroff.collect.validity import ALWAYS
from shroff.errors import BadFile, did_you_mean

Cell = str | float | int | bool | None
Rows = list[tuple[str, dict[str, Cell]]]
"""Each row's place in its file, such as `line 3`, and its cells by column."""
PERIOD: Final = ("since", "until")
"""The columns that say from when on, and until when, a row holds."""


def read_rows(path: str | Path, what: str, columns: Iterable[str], *, others: bool = False) -> Rows:
    """The rows of a CSV file in UTF-8 or of a Parquet file; blank cells are None.

    Args:
        what: the file holds, for messages.
        columns: that it must have; `since` and `until` may be there, and with `others` any more.

    Raises:
        BadFile: it cannot be read, lacks a column or has one twice, or a line has too many cells.
    """
    try:
        names, rows = _parquet(path) if str(path).endswith(".parquet") else _csv(path)
    except (OSError, UnicodeDecodeError, csv.Error, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        kind = "a Parquet file" if str(path).endswith(".parquet") else "a CSV file"
        raise BadFile(f"{path}: expected {kind} of {what} in UTF-8, cannot read it: {why}.") from None
    wanted = tuple(columns)
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names)
            known = "" if others else f"; expected {', '.join(f'`{each}`' for each in (*wanted, *PERIOD))}."
            raise BadFile(f"{path}: expected a column `{name}`, found none{hint or known or '.'}")
    for name in names:
        if names.count(name) > 1:
            raise BadFile(f"{path}: expected each column once, got `{name}` twice.")
    for place, row in rows:
        if None in row:
            raise BadFile(f"{path}, {place}: expected {len(names)} cells, got more.")
    return rows


def period_of(row: Mapping[str, Cell]) -> tuple[str, str | None]:
    """From when on and until when a row holds, as it says; blank: always."""
    since, until = (None if (cell := row.get(name)) is None else str(cell) for name in PERIOD)
    return since or ALWAYS, until


def _csv(path: str | Path) -> tuple[list[str], Rows]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file, skipinitialspace=True)
        lines.fieldnames = names = [name.strip() for name in lines.fieldnames or ()]
        # cells beyond the last column come under None
        return names, [(f"line {lines.line_num}", {name: _cell(cell) for name, cell in line.items()}) for line in lines]


def _parquet(path: str | Path) -> tuple[list[str], Rows]:
    frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    rows = enumerate(frame.iter_rows(named=True), start=1)
    return frame.columns, [(f"row {at}", {name: _cell(cell) for name, cell in row.items()}) for at, row in rows]


def _cell(value: Any) -> Cell:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
