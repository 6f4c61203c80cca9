"""Cleaning a Parquet file that may be larger than memory: slice by slice, into clean parts in order of arrival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from shroff.collect.clean import REPEATED, Tally, clean, require_enough
from shroff.collect.columns import moments
from shroff.collect.schema import Schema
from shroff.collect.sources import parquet_rows, scan
from shroff.collect.time_column import Times, Twice, read_times, tell_apart

_SAMPLE = 1 << 10
"""Every so many-th arrival says where parts begin, where the file is not in order."""


@dataclass(frozen=True, kw_only=True)
class Parts(Tally):
    """A clean table in parts: Parquet files, each with its number of payments, in order of arrival."""

    files: list[tuple[Path, int]]

    @property
    def payments(self) -> int:
        """How many payments were kept."""
        return sum(many for _, many in self.files)


def clean_parts(
    source: str | Path, schema: Schema, folder: Path, *, key: bytes, rows: int, max_bad: float = 0.01
) -> Parts:
    """`clean` for a Parquet file, so many rows at a time.

    What is judged by column (times without a zone, card numbers in the open) is judged by slice.

    Args:
        folder: where the parts are written; the caller's to remove.

    Raises:
        As `clean`.
    """
    table, many = scan(source), parquet_rows(source)
    dropped: Counter[str] = Counter()
    first: dict[str, int] = {}
    words: Counter[tuple[str, str]] = Counter()
    second, twice = _told_apart(table, many, rows, schema)
    files: list[tuple[Path, int]] = []
    hashes: list[pl.Series] = []
    for at in range(0, max(many, 1), rows):
        piece, passes = table.slice(at, rows).collect(), {name: mask[at : at + rows] for name, mask in second.items()}
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
    return Parts(
        files=_in_order(files, schema, folder, rows),
        rows=many,
        dropped=dict(dropped),
        first=first,
        alike=dict(words),
        twice=twice,
    )


def _told_apart(
    table: pl.LazyFrame, many: int, rows: int, schema: Schema
) -> tuple[dict[str, pl.Series], dict[str, Twice]]:
    """By column, which local times are of the second pass of an hour that comes twice, by the order of all rows."""
    second: dict[str, pl.Series] = {}
    twice: dict[str, Twice] = {}
    given = table.collect_schema()
    times = [name for name, scale in schema.scales.items() if scale == "time" and schema.timezone is not None]
    for name in times:
        if given.get(name) not in (pl.String(), *(pl.Datetime(unit) for unit in ("ms", "us", "ns"))):
            continue
        slices = (table.select(name).slice(at, rows).collect()[name] for at in range(0, max(many, 1), rows))
        parts = [read_times(moments(part, schema), schema.timezone, schema.epoch) for part in slices]
        if any(part.later is not None for part in parts):
            early = pl.concat(part.values for part in parts)
            late = pl.concat(part.values if part.later is None else part.later for part in parts)
            second[name], twice[name] = tell_apart(Times(early, late))
    return second, twice


def _write(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_parquet(path, compression="lz4", statistics=False)
    return path


def _without_repeats(
    files: Sequence[tuple[Path, int]], hashes: Sequence[pl.Series], schema: Schema
) -> tuple[list[tuple[Path, int]], int]:
    """The parts without payments whose id came before in another part, and how many those were."""
    everything = pl.concat(hashes).sort()
    twice = everything.filter(everything == everything.shift()).unique()
    if not len(twice):
        return list(files), 0
    arrival = schema.arrived_at or schema.time
    suspects = [
        pl.read_parquet(path, columns=list({schema.id, arrival}))
        .with_row_index("\0row")
        .with_columns(pl.lit(number).alias("\0part"))
        .filter(pl.col(schema.id).hash().is_in(twice.implode()))
        for number, (path, _) in enumerate(files)
    ]
    found = pl.concat(suspects).sort(arrival, "\0part", "\0row")
    repeated = found.filter(~found[schema.id].is_first_distinct())
    kept: list[tuple[Path, int]] = []
    for number, (path, rows) in enumerate(files):
        out = repeated.filter(pl.col("\0part") == number)["\0row"]
        if len(out):
            frame = pl.read_parquet(path)
            _write(frame.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(out.implode())), path)
        kept.append((path, rows - len(out)))
    return kept, len(repeated)


def _in_order(files: list[tuple[Path, int]], schema: Schema, folder: Path, rows: int) -> list[tuple[Path, int]]:
    """The same rows in parts that follow each other in order of arrival, ties in the order they have."""
    arrival = schema.arrived_at or schema.time
    arrivals = [pl.read_parquet(path, columns=[arrival])[arrival] for path, _ in files]
    ends = [(part[0], part[-1]) for part in arrivals if len(part)]
    if all(last <= begin for (_, last), (begin, _) in pairwise(ends)):
        return files
    step = max(1, min(_SAMPLE, rows // 4))
    sample = pl.concat([part.gather_every(step) for part in arrivals]).to_physical().sort().to_numpy()
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
        frame = pl.concat([pl.read_parquet(piece) for piece in pieces]).sort(arrival, maintain_order=True)
        sorted_files.append((_write(frame, folder / f"sorted-{bucket:06d}"), len(frame)))
        for piece in pieces:
            piece.unlink()
    return sorted_files
