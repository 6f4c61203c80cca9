"""Cleaning a Parquet file larger than memory, in slices, into files in order of arrival."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from shroff.collect.clean import REPEATED, RowCounts, clean, require_enough
from shroff.collect.columns import moments
from shroff.collect.schema import Schema
from shroff.collect.sources import parquet_rows, require_raw, scan
from shroff.collect.time_column import TimeColumn, Twice, read_times, tell_apart

_SAMPLE_STEP_ROWS = 1 << 10
"""If the source is unsorted, one arrival in so many is read to choose where files begin."""


@dataclass(frozen=True, kw_only=True)
class CleanFiles(RowCounts):
    """A clean table in several Parquet files, in order of arrival, with their row counts."""

    files: list[tuple[Path, int]]

    @property
    def payments(self) -> int:
        """How many payments were kept."""
        return sum(many for _, many in self.files)


def clean_large(
    source: str | os.PathLike[str],
    schema: Schema,
    folder: Path,
    *,
    key: bytes,
    rows: int,
    max_bad: float = 0.01,
    absent: Collection[str] = (),
) -> CleanFiles:
    """`clean` for a Parquet file, `rows` of it at a time.

    What is judged by column (times without a zone, open card numbers) is judged by slice.

    Args:
        folder: where the clean files are written; the caller's to remove.
        absent: columns that the file lacks, which are missing in every row.

    Raises:
        As `clean`.
    """
    table, many = with_absent(scan(source), absent), parquet_rows(source)
    require_raw(source)
    dropped: Counter[str] = Counter()
    first: dict[str, int] = {}
    words: Counter[tuple[str, str]] = Counter()
    second, twice = _told_apart(table, many, rows, schema)
    files: list[tuple[Path, int]] = []
    hashes: list[pl.Series] = []
    for at in range(0, max(many, 1), rows):
        piece, passes = (
            table.slice(at, rows).collect(),
            {name: mask[at : at + rows] for name, mask in second.items()},
        )
        cleaned = clean(piece, schema, key=key, max_bad=1.0, source=str(source), second=passes)
        dropped.update(cleaned.dropped)
        first = {reason: at + row for reason, row in cleaned.first.items()} | first
        words.update(cleaned.alike)
        files.append((_write(cleaned.frame, folder / f"clean-{at:012d}"), len(cleaned.frame)))
        hashes.append(cleaned.frame[schema.id].hash())
    files, again = _without_repeats(files, hashes, schema)
    dropped.update({f"{schema.id}: expected {REPEATED}": again} if again else {})
    reasons = (f"{count:,} × {reason}" for reason, count in dropped.items())
    require_enough(dropped.total(), many, max_bad, source, reasons)
    return CleanFiles(
        files=_in_order(files, schema, folder, rows),
        rows=many,
        dropped=dict(dropped),
        first=first,
        alike=dict(words),
        twice=twice,
    )


def with_absent(table: pl.LazyFrame, absent: Collection[str]) -> pl.LazyFrame:
    """A raw table with columns that it lacks, without a value in any row."""
    return table.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)


def _told_apart(
    table: pl.LazyFrame, many: int, rows: int, schema: Schema
) -> tuple[dict[str, pl.Series], dict[str, Twice]]:
    """By column, which local times are of a repeated hour's second pass, by the order of rows."""
    second: dict[str, pl.Series] = {}
    twice: dict[str, Twice] = {}
    given = table.collect_schema()
    times = [
        name
        for name, scale in schema.scales.items()
        if scale == "time" and schema.timezone is not None
    ]
    for name in times:
        if given.get(name) not in (
            pl.String(),
            *(pl.Datetime(unit) for unit in ("ms", "us", "ns")),
        ):
            continue
        slices = (
            table.select(name).slice(at, rows).collect()[name]
            for at in range(0, max(many, 1), rows)
        )
        columns = [
            read_times(moments(one, schema), schema.timezone, schema.epoch) for one in slices
        ]
        if any(column.later is not None for column in columns):
            early = pl.concat(column.values for column in columns)
            late = pl.concat(
                column.values if column.later is None else column.later for column in columns
            )
            second[name], twice[name] = tell_apart(TimeColumn(early, late))
    return second, twice


def _write(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_parquet(path, compression="lz4", statistics=False)
    return path


def _without_repeats(
    files: Sequence[tuple[Path, int]], hashes: Sequence[pl.Series], schema: Schema
) -> tuple[list[tuple[Path, int]], int]:
    """The files without payments whose id came in an earlier file, and how many those were."""
    everything = pl.concat(hashes).sort()
    twice = everything.filter(everything == everything.shift()).unique()
    if not len(twice):
        return list(files), 0
    arrival = schema.arrived_at or schema.time
    suspects = [
        pl.read_parquet(path, columns=list({schema.id, arrival}))
        .with_row_index("\0row")
        .with_columns(pl.lit(number).alias("\0file"))
        .filter(pl.col(schema.id).hash().is_in(twice.implode()))
        for number, (path, _) in enumerate(files)
    ]
    found = pl.concat(suspects).sort(arrival, "\0file", "\0row")
    repeated = found.filter(~found[schema.id].is_first_distinct())
    kept: list[tuple[Path, int]] = []
    for number, (path, rows) in enumerate(files):
        out = repeated.filter(pl.col("\0file") == number)["\0row"]
        if len(out):
            frame = pl.read_parquet(path)
            _write(
                frame.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(out.implode())), path
            )
        kept.append((path, rows - len(out)))
    return kept, len(repeated)


def _in_order(
    files: list[tuple[Path, int]], schema: Schema, folder: Path, rows: int
) -> list[tuple[Path, int]]:
    """The same rows in files in order of arrival; ties keep their order."""
    arrival = schema.arrived_at or schema.time
    arrivals = [pl.read_parquet(path, columns=[arrival])[arrival] for path, _ in files]
    ends = [(one[0], one[-1]) for one in arrivals if len(one)]
    if all(last <= begin for (_, last), (begin, _) in pairwise(ends)):
        return files
    step = max(1, min(_SAMPLE_STEP_ROWS, rows // 4))
    sample = pl.concat([one.gather_every(step) for one in arrivals]).to_physical().sort().to_numpy()
    bounds = np.unique(sample[:: max(1, rows // step)])[1:]
    for number, (path, _) in enumerate(files):
        frame = pl.read_parquet(path)
        path.unlink()
        cuts = np.searchsorted(frame[arrival].to_physical().to_numpy(), bounds).tolist()
        for bucket, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(frame)], strict=True)):
            if start < stop:
                _write(frame[start:stop], folder / f"sort-{bucket:06d}-{number:06d}")
    sorted_files: list[tuple[Path, int]] = []
    for bucket in range(len(bounds) + 1):
        pieces = sorted(folder.glob(f"sort-{bucket:06d}-*"))
        frame = pl.concat([pl.read_parquet(piece) for piece in pieces]).sort(
            arrival, maintain_order=True
        )
        sorted_files.append((_write(frame, folder / f"sorted-{bucket:06d}"), len(frame)))
        for piece in pieces:
            piece.unlink()
    return sorted_files
