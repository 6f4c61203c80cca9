"""The content of a table: rows checked against a group's columns, and a digest of their values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import numpy as np
import polars as pl

from shroff.errors import BadFile
from shroff.store.group import Group, Kind

TYPES: Final[dict[Kind, pl.DataType]] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "time": pl.Datetime("us", "UTC"),
}

_FIRST, _LAST = (at.replace(tzinfo=UTC) for at in (datetime.min, datetime.max))


def conform(frame: pl.DataFrame, group: Group) -> pl.DataFrame:
    """The table as the group stores it: typed columns in order, rows by key, time and arrival.

    Raises:
        BadFile: columns are missing or unknown, a value is of another kind, a key or a time is
            missing, or two rows are equal in key, time and arrival.
    """
    where = f"group {group.label}"
    if not isinstance(frame, pl.DataFrame):
        raise BadFile(
            f"{where}: expected a Polars table, got {type(frame).__name__}; pl.from_pandas and "
            "pl.from_arrow make one, and so does collect() of a lazy one."
        )
    missing, unknown = (
        set(group.columns) - set(frame.columns),
        set(frame.columns) - set(group.columns),
    )
    if missing or unknown:
        lacks = f" lacks {_listed(missing)}" if missing else ""
        has = f" has unknown {_listed(unknown)}" if unknown else ""
        raise BadFile(
            f"{where}: expected a table of its {len(group.columns)} columns, got one "
            f"that{lacks}{has}."
        )
    whole = pl.DataFrame(
        [_column(frame[name], column.kind, where) for name, column in group.columns.items()]
    )
    for name in group.order:
        if nulls := whole[name].null_count():
            row = int(whole[name].is_null().arg_max() or 0) + 1
            raise BadFile(
                f"{where}: column `{name}`: expected a value in each row, got none in {nulls:,}, "
                f"first {row:,}."
            )
    whole = whole.sort(group.order)
    if repeated := len(whole) - whole.select(group.order).n_unique():
        raise BadFile(
            f"{where}: expected one row per {', '.join(group.order)}, got {repeated:,} more."
        )
    return whole


def _listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _column(values: pl.Series, kind: Kind, where: str) -> pl.Series:
    if not _fits(values.dtype, kind):
        raise BadFile(
            f"{where}: column `{values.name}`: expected {_WANTED[kind]}, got {values.dtype}."
        )
    whole = values.cast(TYPES[kind])
    if kind == "time" and not whole.drop_nulls().is_between(_FIRST, _LAST).all():
        raise BadFile(
            f"{where}: column `{values.name}`: expected times in the years 1 to 9999, got others."
        )
    return whole


_WANTED: Final[dict[Kind, str]] = {
    "integer": "whole numbers of at most 64 bits",
    "number": "numbers",
    "text": "texts",
    "boolean": "true or false",
    "time": "times with a time zone",
}


def _fits(dtype: pl.DataType, kind: Kind) -> bool:
    if dtype == pl.Null:
        return True
    if kind == "number":
        return dtype.is_numeric()
    if kind == "integer":
        return dtype.is_integer() and dtype not in (pl.UInt64, pl.Int128)
    if kind == "text":
        return dtype in (pl.String, pl.Categorical, pl.Enum)
    if kind == "time":
        return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    return dtype == pl.Boolean


def digest(frame: pl.DataFrame, order: Sequence[str] = ()) -> str:
    """SHA-256 of a table's names, types and values, sorted by these columns if any are given.

    It hashes little-endian numbers and UTF-8, so it is the same with every release of a library.

    >>> digest(pl.DataFrame({"a": [1, None], "b": ["x", "é"]}))[:12]
    '848526adb967'
    """
    whole = frame.sort(order) if order else frame
    found = sha256()
    for column in whole.get_columns():
        kind = "time" if isinstance(column.dtype, pl.Datetime) else str(column.dtype)
        found.update(f"{column.name}\0{kind}\0{len(column)}\0".encode())
        found.update(np.packbits(column.is_null().to_numpy()).tobytes())
        for piece in _pieces(column):
            found.update(piece)
    return found.hexdigest()


def _pieces(column: pl.Series) -> list[bytes]:
    if column.dtype == pl.String:
        filled = column.fill_null("")
        lengths = filled.str.len_bytes().to_numpy().astype("<i8").tobytes()
        return [lengths, *(text.encode() for text in _joined(filled))]
    if column.dtype == pl.Boolean:
        return [np.packbits(column.fill_null(False).to_numpy()).tobytes()]
    if isinstance(column.dtype, pl.Datetime):
        column = column.cast(pl.Datetime("us", "UTC")).dt.epoch("us")
    numbers = column.fill_null(0).to_numpy()
    return [numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()]


def _joined(texts: pl.Series, rows: int = 100_000) -> list[str]:
    return [texts[start : start + rows].str.join("").item() for start in range(0, len(texts), rows)]
