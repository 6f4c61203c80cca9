"""Files of dated tables, exchange rates and reference tables: CSV or Parquet, by column, with the
place of each row.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from shroff.collect.validity import ALWAYS
from shroff.errors import BadFile, did_you_mean

Cell = str | float | int | bool | None
PERIOD: Final = ("since", "until")
"""The columns that say from when on, and until when, a row holds."""


class DatedFile(NamedTuple):
    """The columns of a file by name, and the place of each row, such as `line 3`."""

    columns: dict[str, list[Cell]]
    places: Sequence[str]

    @property
    def since(self) -> list[str]:
        """From when on each row holds; a blank cell means always."""
        given = self.columns.get("since") or [None] * len(self.places)
        return [ALWAYS if cell is None else str(cell) for cell in given]

    @property
    def until(self) -> list[str | None]:
        """Until when each row holds."""
        given = self.columns.get("until") or [None] * len(self.places)
        return [None if cell is None else str(cell) for cell in given]


def read_dated(
    path: str | Path, what: str, columns: Iterable[str], *, others: bool = False
) -> DatedFile:
    """The content of a CSV file in UTF-8 or of a Parquet file; blank cells are None.

    Args:
        what: the file holds, for messages.
        columns: that it must have; `since` and `until` may be there, and with `others` any more.

    Raises:
        BadFile: it cannot be read, lacks a column or has one twice, or a line has too many cells.
    """
    kind = "Parquet" if str(path).endswith(".parquet") else "CSV"
    try:
        names, rows, places = _parquet(path) if kind == "Parquet" else _csv(path)
    except (
        OSError,
        UnicodeDecodeError,
        csv.Error,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise BadFile(
            f"{path}: expected a {kind} file of {what} in UTF-8, cannot read it: {why}."
        ) from None
    wanted = tuple(columns)
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names)
            known = (
                "."
                if others
                else f"; expected {', '.join(f'`{each}`' for each in (*wanted, *PERIOD))}."
            )
            raise BadFile(f"{path}: expected a column `{name}`, found none{hint or known}")
    for name, times in Counter(names).items():
        if times > 1:
            raise BadFile(f"{path}: expected each column once, got `{name}` twice.")
    for row, place in zip(rows, places, strict=True):
        if len(row) > len(names):
            raise BadFile(f"{path}, {place}: expected {len(names)} cells, got more.")
    cells = (
        [_cell(row[at]) if at < len(row) else None for row in rows] for at in range(len(names))
    )
    return DatedFile(dict(zip(names, cells, strict=True)), places)


_Read = tuple[list[str], list[Any], list[str]]


def _csv(path: str | Path) -> _Read:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, skipinitialspace=True)
        names = [name.strip() for name in next(lines, [])]
        found = [(line, f"line {lines.line_num}") for line in lines if line]
    return names, [line for line, _ in found], [place for _, place in found]


def _parquet(path: str | Path) -> _Read:
    frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    return frame.columns, frame.rows(), [f"row {at}" for at in range(1, len(frame) + 1)]


def _cell(value: Any) -> Cell:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
