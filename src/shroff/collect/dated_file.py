"""Files of dated tables, exchange rates and reference tables: CSV or Parquet, by column, with the
place of each row.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from shroff.collect.csv_text import separator_of
from shroff.collect.parquet_footer import parquet_extent
from shroff.collect.validity import ALWAYS
from shroff.errors import BadFile, did_you_mean
from shroff.location import found_at
from shroff.plain import read_plain

Cell = str | float | int | bool | None
PERIOD: Final = ("since", "until")
"""The columns that say from when on, and until when, a row holds."""
MAX_FILE_BYTES: Final = 64 << 20
MAX_ROWS: Final = 500_000
MAX_COLUMNS: Final = 100
MAX_CELLS: Final = 5_000_000
MAX_CELL_CHARACTERS: Final = 1_000
_MAX_ROW_CHARACTERS: Final = 1 << 18
_EPOCH: Final = date(1970, 1, 1)
_FIRST_DAY: Final = (date(1, 1, 2) - _EPOCH).days
_LAST_DAY: Final = (date(9999, 12, 30) - _EPOCH).days
"""Days since 1970 between which Python knows times in every zone."""
_PER_DAY: Final = {"ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


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
    path: str | Path, what: str, columns: Iterable[str], *, others: bool = False, hint: str = "."
) -> DatedFile:
    """The content of a CSV file in UTF-8 or of a Parquet file; blank cells are None.

    Args:
        path: in a project's file, relative to it.
        what: the file holds, for messages.
        columns: that it must have; `since` and `until` may be there, and with `others` any more.
        hint: with `others`, how the sentence about a column that is not there ends.

    Raises:
        BadFile: it is no regular file or too large, cannot be read, lacks a column or has one
            twice, a column of bytes or durations, or a line with too many cells.
    """
    path = found_at(path)
    kind = "Parquet" if path.suffix == ".parquet" else "CSV"
    try:
        content = read_plain(path, MAX_FILE_BYTES, follow=True)
        names, rows, places = (_parquet if kind == "Parquet" else _csv)(content, str(path))
    except BadFile:
        raise
    except (
        OSError,
        ValueError,
        csv.Error,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        said = str(error) if type(error) is ValueError else type(error).__name__
        said = (
            "its quotes are not closed, or not doubled in a text"
            if kind == "CSV" and isinstance(error, csv.Error)
            else said
        )
        why = getattr(error, "strerror", None) or said
        raise BadFile(
            f"{path}: expected a {kind} file of {what} in UTF-8, cannot read it: {why}."
        ) from None
    wanted = tuple(columns)
    for name in wanted:
        if name not in names:
            meant = did_you_mean(name, names)
            every = dict.fromkeys((*wanted, *PERIOD))
            known = hint if others else f"; expected {', '.join(f'`{each}`' for each in every)}."
            raise BadFile(f"{path}: expected a column `{name}`, found none{meant or known}")
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


def _csv(content: bytes, path: str) -> _Read:
    source = _Lines(content, path)
    reader = csv.reader(
        source, delimiter=separator_of(source.first), skipinitialspace=True, strict=True
    )
    names: list[str] = []
    rows: list[list[str]] = []
    places: list[str] = []
    for at, line in enumerate(reader):
        place = f"line {reader.line_num}"
        if source.pending > MAX_CELL_CHARACTERS:
            _require_short(max(map(len, line)), f"{path}, {place}")
        source.pending = 0
        if at == 0:
            names = [name.strip() for name in line]
        elif line:
            rows.append(line)
            places.append(place)
        _require_few(len(rows), len(names), path)
    return names, rows, places


class _Lines:
    """The lines of a CSV file; `pending` counts the characters of the row that is being read."""

    def __init__(self, content: bytes, path: str) -> None:
        text = content.decode("utf-8-sig")
        self.first = text[:_MAX_ROW_CHARACTERS].partition("\n")[0]
        self._lines = io.StringIO(text, newline="")
        self._path = path
        self.pending = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.pending += len(line)
            if self.pending > _MAX_ROW_CHARACTERS:
                raise BadFile(
                    f"{self._path}: expected rows of at most {_MAX_ROW_CHARACTERS:,} characters, "
                    "got a longer one; a quote may be open."
                )
            yield line


def _parquet(content: bytes, path: str) -> _Read:
    extent = parquet_extent(content)
    _require_few(extent.rows, extent.columns, path)
    _require_small(extent.size_bytes, path)
    frame = pl.read_parquet(io.BytesIO(content), glob=False, hive_partitioning=False)
    for name, kind in frame.schema.items():
        # no payment has such values, and each would become some text
        if kind in (pl.Binary, pl.Duration, pl.Time):
            raise BadFile(
                f"{path}, column `{name}`: expected texts, numbers, dates or booleans, got type "
                f"{kind}: write it as a text, or leave it out."
            )
        # Python has no others, and Polars panics
        if kind.is_temporal():
            days = frame[name].to_physical() // _PER_DAY.get(getattr(kind, "time_unit", ""), 1)
            if not days.is_between(_FIRST_DAY, _LAST_DAY).all():
                raise BadFile(
                    f"{path}, column `{name}`: expected years from 1 to 9999, got another."
                )
    frame = frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    lengths = frame.select(pl.col(pl.String).str.len_bytes())
    for name in lengths.columns:
        _require_short(lengths[name].max() or 0, f"{path}, column `{name}`")
    # rows may refer to one text of the file
    _require_small(sum(lengths.cast(pl.Int64).sum().row(0) if lengths.width else ()), path)
    return frame.columns, frame.rows(), [f"row {at}" for at in range(1, len(frame) + 1)]


def _require_few(rows: int, columns: int, path: str) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise BadFile(
            f"{path}: expected at most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and "
            f"{MAX_CELLS:,} cells, got more."
        )


def _require_short(characters: Any, where: str) -> None:
    if characters > MAX_CELL_CHARACTERS:
        raise BadFile(
            f"{where}: expected cells of at most {MAX_CELL_CHARACTERS:,} characters, got a longer "
            "one."
        )


def _require_small(size_bytes: int, path: str) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise BadFile(
            f"{path}: expected at most {MAX_FILE_BYTES:,} bytes without compression, got "
            f"{size_bytes:,}."
        )


def _cell(value: Any) -> Cell:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
