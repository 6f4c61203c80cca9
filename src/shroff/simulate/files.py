"""Writing a simulated log: whole or not at all, and the same bytes for the same table."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, cast

import polars as pl

from shroff.collect.sources import written_whole
from shroff.errors import ConfigurationError

_ISO_8601: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"


def write(frame: pl.DataFrame, path: str | Path) -> None:
    """Write a simulated log as `.csv`, `.csv.gz` or `.parquet`, by the name's ending.

    Folders are made as needed. A reader sees the old file or the new one, never half of one: the
    rows go to a temporary file in the same folder, which then takes the name. Times are ISO 8601
    UTC in CSV. The same table gives the same bytes. Raises ConfigurationError for another ending.

    >>> import tempfile
    >>> from shroff.simulate import simulate
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(simulate(1_000), f"{folder}/payments.csv.gz")
    ...     pl.read_csv(f"{folder}/payments.csv.gz").height
    1000
    """
    target = Path(path)
    writer = _writer(target)
    with written_whole(target) as file:
        writer(frame, file)


def _writer(path: Path) -> Callable[[pl.DataFrame, IO[bytes]], None]:
    writers = {".csv": _write_csv, ".csv.gz": _write_csv_gz, ".parquet": _write_parquet}
    for ending, writer in writers.items():
        if path.name.endswith(ending):
            return writer
    raise ConfigurationError(
        "expected a file name that ends in .csv, .csv.gz or .parquet, got another ending"
    )


def _write_csv(frame: pl.DataFrame, file: IO[bytes]) -> None:
    frame.write_csv(file, datetime_format=_ISO_8601)


def _write_csv_gz(frame: pl.DataFrame, file: IO[bytes]) -> None:
    # no name or time in the header: they would change the bytes from run to run
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
        _write_csv(frame, cast(IO[bytes], packed))


def _write_parquet(frame: pl.DataFrame, file: IO[bytes]) -> None:
    frame.write_parquet(file, compression="zstd", statistics=True)
