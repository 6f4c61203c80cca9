"""Where raw tables come from and where clean ones go: CSV (also gzipped), Parquet, two tables joined."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import polars as pl

from shroff.errors import BadFile, did_you_mean


def read(path: str | Path) -> pl.DataFrame:
    """A raw table from a `.csv`, `.csv.gz` or `.parquet` file; CSV values stay text for `clean` to judge.

    Raises:
        BadFile: the file is missing, of another kind, or damaged; with its row where that is known.
    """
    file = Path(path)
    if not file.is_file():
        raise BadFile(f"{file}: no such file; expected a .csv, .csv.gz or .parquet file.")
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file)
        if file.name.endswith((".csv", ".csv.gz")):
            return _read_csv(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadFile(f"{file}: expected a readable {file.suffix[1:]} file, got: {_first_line(error)}") from None
    raise BadFile(f"{file}: expected a .csv, .csv.gz or .parquet file, got `{file.suffix or 'no suffix'}`.")


def _read_csv(file: Path) -> pl.DataFrame:
    frame = pl.read_csv(file, infer_schema=False, truncate_ragged_lines=False)
    if not frame.width:
        raise BadFile(f"{file}: expected a header line, got an empty file.")
    return frame


def _first_line(error: Exception) -> str:
    # a parser's message may quote the line it failed on: keep what went wrong, not what was in the file
    return (str(error).splitlines() or [type(error).__name__])[0].split(":")[0][:120] + "."


def read_joined(facts: str | Path, statistics: str | Path, *, on: str) -> pl.DataFrame:
    """Payment facts joined with their pre-computed statistics: an inner join on the payment id.

    Columns that both tables have get ` (2)` behind the second table's name.

    Raises:
        BadFile: one of the files is unreadable, lacks the id, or the statistics have two rows for one id.
    """
    left, right = read(facts), read(statistics)
    for table, path in ((left, facts), (right, statistics)):
        if on not in table.columns:
            hint = did_you_mean(on, table.columns) or "."
            raise BadFile(f"{path}: expected the payment id in a column `{on}`, found none{hint}")
    repeated = right[on].is_duplicated() & right[on].is_not_null()
    if repeated.any():
        row = int(repeated.arg_max() or 0) + 1
        raise BadFile(
            f"{statistics}: expected one row of statistics per payment, got two for the `{on}` of row {row:,}."
        )
    return left.join(right, on=on, how="inner", suffix=" (2)", maintain_order="left")


def write_parquet(frame: pl.DataFrame, path: str | Path) -> None:
    """Write a table whole or not at all: a temporary file beside it, synced, then renamed over it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            frame.write_parquet(file, compression="zstd", statistics=True)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
