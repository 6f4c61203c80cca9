"""Parquet files that Python workers read and write themselves.

Spark's reader makes rows, and hands them to Python field by field; its writer takes features back
the same way. Both cost more than the features. A worker that reaches the files needs neither.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import polars as pl

from shroff.errors import BadFile, ConfigurationError
from shroff.features.engines.subplans import ROW

if TYPE_CHECKING:
    import pyarrow as pa

WRITTEN: Final = "`file` string, `rows` bigint"
"""What `write_parts` yields, as Spark's DDL."""

FILE_BITS: Final = 40
"""The order of rows has the place in its file in so many bits, and above them the file's number."""

_MOST_ROWS: Final = 1 << 20
_STAGED: Final = "_temporary"
"""The folder below the target for files of tasks that are not known to be done; readers skip it."""
_LEAST_ROWS: Final = 1 << 16
_TYPES: Final[Mapping[str, pl.DataType]] = {
    "timestamp": pl.Datetime("us", "UTC"),
    "bigint": pl.Int64(),
    "boolean": pl.Boolean(),
    "double": pl.Float64(),
    "string": pl.String(),
}


class Piece(NamedTuple):
    """Rows of a Parquet file for one task: whole row groups.

    `first` is the place of its first row in the file, `order` that among the rows of all files.
    """

    path: str
    first: int
    rows: int
    order: int


def local_path(location: str) -> Path | None:
    """The path that a `file:` URL names; None for other URLs."""
    parts = urlsplit(location)
    return Path(unquote(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def pieces(
    paths: Sequence[Path | None], kinds: Mapping[str, str], tasks: int
) -> list[Piece] | None:
    """The rows of these files in this order, in pieces for so many tasks or more.

    Args:
        paths: None for a file of another system.
        kinds: the columns that are read and their types in Spark.

    Returns:
        None where Spark must read: some column has a type of which Spark and Polars might give
        different values, or belongs to a folder's name.
    """
    import pyarrow as pa

    wanted = {name: _TYPES.get(kind) for name, kind in kinds.items()}
    here = [path for path in paths if path is not None]
    folders = {path.parent for path in here}
    # a folder's name may say a column
    if len(here) < len(paths) or len(folders) != 1 or "=" in folders.pop().name:
        return None
    if None in wanted.values():
        return None
    try:
        with ThreadPoolExecutor() as pool:
            footers = list(pool.map(_footer, here))
    except (OSError, pa.ArrowException):
        # Spark says what is wrong
        return None
    if any(schema.get(name) != kind for schema, _ in footers for name, kind in wanted.items()):
        return None
    total = sum(sum(groups) for _, groups in footers)
    size = min(_MOST_ROWS, max(_LEAST_ROWS, total // tasks))
    return [
        Piece(str(path), first, rows, (number << FILE_BITS) + first)
        for number, (path, (_, groups)) in enumerate(zip(here, footers, strict=True))
        for first, rows in _spans(groups, size)
    ]


def columns_of(path: Path) -> frozenset[str]:
    """The columns of a file."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        return frozenset(file.schema_arrow.names)


def _footer(path: Path) -> tuple[Mapping[str, pl.DataType], list[int]]:
    """A file's columns, and how many rows its row groups have."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        found, metadata = file.schema_arrow, file.metadata
        groups = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
    return pl.DataFrame(pl.from_arrow(found.empty_table())).schema, groups


def _spans(groups: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """Row groups one after the other as (first row, rows), each about so many rows."""
    first = rows = 0
    for group in groups:
        if rows and rows + group > size:
            yield first, rows
            first, rows = first + rows, 0
        rows += group
    if rows:
        yield first, rows


def read(piece: Piece, columns: Sequence[str]) -> pl.DataFrame:
    """`ROW` and these columns of a piece.

    Raises:
        BadFile: the file is damaged, or may not be read.
        FileNotFoundError: this machine has none of this name.
    """
    file = pl.scan_parquet(piece.path, glob=False).slice(piece.first, piece.rows)
    place = pl.int_range(piece.order, piece.order + piece.rows, dtype=pl.Int64)
    try:
        rows = file.select(*columns).collect()
    except FileNotFoundError:
        raise
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadFile(
            f"{piece.path}: expected a Parquet file that can be read, got one that is damaged or "
            f"closed to this user ({type(error).__name__})."
        ) from None
    return rows.select(place.alias(ROW), *columns)


def write_parts(tables: Iterable[pl.DataFrame], folder: Path) -> Iterator[pa.RecordBatch]:
    """Write each table as a file with a name of its own below `folder`.

    Yields:
        The name and how many rows it has: `WRITTEN`.
    """
    import pyarrow as pa

    for table in tables:
        name = f"part-{uuid4()}.parquet"
        table.write_parquet(folder / name, compression="snappy")
        yield pa.record_batch(
            [pa.array([name]), pa.array([len(table)], pa.int64())], ["file", "rows"]
        )


def write_folder(
    target: Path, empty: pl.DataFrame, write: Callable[[Path], Sequence[tuple[str, int]]]
) -> int:
    """Make a folder of Parquet files, which is not there unless it is whole.

    Args:
        empty: what is written where no file is.
        write: writes files to the folder that it is given. It returns the names of those that
            count, with their rows: tasks may have run twice.

    Returns:
        The number of rows.

    Raises:
        ConfigurationError: the target exists, or writers do not see it, or what they read, under
            the same name.
    """
    try:
        target.mkdir(parents=True)
    except FileExistsError:
        raise ConfigurationError(f"{target}: expected a target that does not exist yet.") from None
    except OSError as error:
        raise ConfigurationError(
            f"{target}: expected a folder that can be made, got: {error.strerror}."
        ) from None
    staged = target / _STAGED
    try:
        staged.mkdir()
        done = write(staged)
        for name, _ in done:
            (staged / name).rename(target / name)
        if not done:
            empty.write_parquet(target / "part-0.parquet")
        shutil.rmtree(staged)
        (target / "_SUCCESS").touch()
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, FileNotFoundError):
            raise ConfigurationError(
                f"{target}: expected a source and a target that all machines of the cluster share, "
                "got one that some of them lack: name a URL."
            ) from None
        raise
    return sum(rows for _, rows in done)
