"""A table larger than memory, from Parquet to Parquet.

Rows are partitioned into buckets on disk by the hash of a key, each bucket is computed in memory as
a table of its own, and the results are put together in row order, slice by slice. Each key needs a
partitioning of its own, and links need one by time; features of the payment alone need none. The
values are those of the table in memory, to the bit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from shroff.arrays import Floats
from shroff.collect import Schema, require_clean
from shroff.collect.sources import parquet_rows, scan, written_whole
from shroff.features.engines.batch import grouping
from shroff.features.engines.batch.bucket_files import Block, read_blocks, write_blocks
from shroff.features.engines.batch.engine import (
    aggregates,
    compile_formulas,
    finished,
    one_ahead,
    payment_features,
)
from shroff.features.engines.batch.time_chunks import Slice, chunks_by_time, spread_by_time
from shroff.features.engines.subplans import OWNED, ROW, Subplan, payment_columns, subplans
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan

_BUCKET: Final = "shroff bucket"
_PROCESS_BYTES: Final = 350 << 20
"""About the bytes that the process takes before it has read a row."""
_MAX_BUCKETS: Final = 256


def bytes_per_row(columns: int, features: int) -> int:
    """About the bytes per payment while so many features are computed from so many columns."""
    return 160 + 40 * columns + 24 * features


def fits(plan: Plan, rows: int, memory: int) -> bool:
    """Whether a clean table of so many rows can be computed at once within so many bytes."""
    return rows * bytes_per_row(len(plan.schema.scales), len(plan.names)) + _PROCESS_BYTES <= memory


def slice_rows(plan: Plan, memory: int) -> int:
    """Rows to read at a time within so many bytes."""
    return max(
        1,
        min(
            1 << 20, _room(memory) // (8 * bytes_per_row(len(plan.schema.scales), len(plan.names)))
        ),
    )


def compute_file(
    groups: Sequence[FeatureGroup],
    source: str | Path,
    target: str | Path,
    schema: Schema,
    *,
    memory: int,
    scratch: str | Path | None = None,
) -> int:
    """The features of a clean Parquet table (`batch.compute`), written as Parquet, rows in the
    order of the file.

    Args:
        memory: about the bytes that the process may take; one key's payments must fit. Tables use
            all of it beyond some 400 MB for the process itself.
        scratch: folder for intermediate files, about as large as the table and its features; by
            default the target's.

    Returns:
        How many payments were written.

    Raises:
        BadFile: the source is no Parquet, or the target cannot be written.
        MixedCurrencies: a feature reads amounts that are in several currencies.
    """
    plan = Plan(groups, schema)
    table, rows = scan(source), parquet_rows(source)
    step = slice_rows(plan, memory)
    slices = [
        Slice(table.slice(at, step), at, min(step, rows - at))
        for at in range(0, max(rows, 1), step)
    ]
    return compute_slices(plan, slices, target, memory=memory, scratch=scratch)


def compute_slices(
    plan: Plan,
    slices: Sequence[Slice],
    target: str | Path,
    *,
    memory: int,
    scratch: str | Path | None = None,
) -> int:
    """`compute_file` for a table in slices (at least one), in row order."""
    require_clean(slices[0].table.collect_schema(), plan.schema)
    currency = str(plan.schema.currency)
    plan.require_one_currency(
        lambda: {code for piece in slices for code in _distinct(piece, currency)}
    )
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix=".shroff-", dir=scratch or Path(target).parent) as folder,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        written_whole(target) as file,
    ):
        held = [
            _held(subplan, plan.schema, slices, Path(folder) / str(subplan.number), memory, pool)
            for subplan in subplans(plan)
        ]

        def together(number: int) -> pl.DataFrame:
            return _together(
                plan,
                slices[number],
                [found for one in held for found in one.columns(number, slices)],
            )

        def batches(*_: object) -> Iterator[pl.DataFrame]:
            # the sink asks for all columns and rows
            return one_ahead(pool, together, range(len(slices)))

        schema = _together(plan, Slice(slices[0].table.head(0), 0, 0), _nothing(plan)).schema
        register_io_source(batches, schema=dict(schema)).sink_parquet(
            file, compression="zstd", compression_level=1
        )
    return sum(piece.rows for piece in slices)


def _distinct(piece: Slice, name: str) -> pl.Series:
    return piece.table.select(pl.col(name).unique()).collect().to_series()


def _room(memory: int) -> int:
    """Bytes for tables: half of the memory, as keys are uneven and memory is freed late."""
    return max(memory - _PROCESS_BYTES, memory // 2, 2) // 2


class _Held:
    """A subplan's aggregates on disk: a file per bucket, a block per slice, texts apart.

    `blocks`: by slice, where its rows (their places in the slice) and numbers begin in which file,
    and how many rows there are.
    """

    def __init__(self, plan: Plan, slices: int) -> None:
        self.texts = [output.name for output in plan.outputs if output.text is not None]
        self.numbers = [output.name for output in plan.outputs if output.text is None]
        self.numbers += [output.name for output in plan.links]
        self.blocks: list[list[tuple[Path, int, int]]] = [[] for _ in range(slices)]

    def write(
        self, path: Path, rows: pl.Series, values: pl.DataFrame, slices: Sequence[Slice]
    ) -> None:
        """Keep the values of these rows, which are in ascending order."""
        numbers = np.empty((len(self.numbers), len(rows)))
        for at, name in enumerate(self.numbers):
            numbers[at] = values[name].fill_null(float("nan")).to_numpy()
        places = rows.to_numpy()
        cuts = np.searchsorted(
            places, [*(piece.first for piece in slices), np.iinfo(np.int64).max]
        ).tolist()
        with path.open("xb") as file:
            for number, (start, stop) in enumerate(pairwise(cuts)):
                if start < stop:
                    self.blocks[number].append((path, file.tell(), stop - start))
                    file.write(
                        (places[start:stop] - slices[number].first).astype(np.uint32).tobytes()
                    )
                    file.write(numbers[:, start:stop].tobytes())
                    if self.texts:
                        values[start:stop].select(self.texts).write_ipc(
                            _texts_of(path, number), compression="lz4"
                        )

    def columns(self, number: int, slices: Sequence[Slice]) -> list[pl.Series]:
        """The subplan's aggregates of one slice."""
        names = self.numbers
        values: Floats = np.full((len(names), slices[number].rows), np.nan)
        said = np.full(slices[number].rows, -1)
        texts = [pl.DataFrame(schema=dict.fromkeys(self.texts, pl.String))]
        for path, offset, rows in self.blocks[number]:
            with path.open("rb") as file:
                file.seek(offset)
                places = np.fromfile(file, np.uint32, rows)
                numbers = np.fromfile(file, np.float64, rows * len(names))
            for column, found in zip(values, numbers.reshape(len(names), rows), strict=True):
                grouping.scatter(found, places, column)
            if self.texts:
                said[places] = np.arange(rows) + sum(map(len, texts))
                texts.append(pl.read_ipc(_texts_of(path, number)))
        columns = [
            pl.Series(name, column, nan_to_null=True)
            for name, column in zip(names, values, strict=True)
        ]
        if not self.texts:
            return columns
        # rows without the key have no value
        rows_of_texts = pl.Series(said).replace(-1, None).cast(pl.UInt32)
        return columns + [text.gather(rows_of_texts) for text in pl.concat(texts).get_columns()]


def _texts_of(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}-texts-{number}")


def _held(
    subplan: Subplan,
    schema: Schema,
    slices: Sequence[Slice],
    folder: Path,
    memory: int,
    pool: Executor,
) -> _Held:
    """Compute one subplan, bucket by bucket."""
    rows = sum(piece.rows for piece in slices)
    each = bytes_per_row(len(subplan.columns), len(subplan.features))
    buckets = min(_MAX_BUCKETS, max(1, -(-rows * each * 2 // _room(memory))))
    folder.mkdir()
    chunks = [] if subplan.key else chunks_by_time(subplan, schema, slices, buckets)
    buckets = len(chunks) or buckets

    def spread(number: int) -> list[Block]:
        frame = _read(subplan, slices[number])
        parts = (
            spread_by_time(schema, frame, chunks) if chunks else _spread(subplan, frame, buckets)
        )
        return write_blocks(folder / f"slice-{number:06d}", parts)

    blocks: dict[int, list[Block]] = {}
    for written in one_ahead(pool, spread, range(len(slices))):
        for block in written:
            blocks.setdefault(block.bucket, []).append(block)
    plan, arrival = subplan.plan(schema), schema.arrived_at or schema.time
    held = _Held(plan, len(slices))
    compile_formulas(plan)

    def work(bucket: int) -> None:
        frame = read_blocks(blocks[bucket])
        if not frame[arrival].is_sorted():
            frame = frame.sort(arrival, maintain_order=True)
        found = pl.DataFrame([frame[ROW], *aggregates(plan, frame)])
        if OWNED in frame.columns:
            found = found.filter(frame[OWNED])
        del frame
        found = found if found[ROW].is_sorted() else found.sort(ROW)
        held.write(folder / f"bucket-{bucket:03d}", found[ROW], found.drop(ROW), slices)

    for _ in one_ahead(pool, work, sorted(blocks)):
        pass
    for file in folder.glob("slice-*"):
        file.unlink()
    return held


def _read(subplan: Subplan, piece: Slice) -> pl.DataFrame:
    """What a subplan reads of a slice, with the rows' numbers."""
    columns = subplan.columns_of(piece.table.collect_schema().names())
    frame = piece.table.select(columns).collect().with_row_index(ROW, offset=piece.first)
    return frame.cast({ROW: pl.Int64})


def _spread(
    subplan: Subplan, frame: pl.DataFrame, buckets: int
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows that have the subplan's key, by bucket."""
    # gathering from columns in one chunk takes a fifth of the time
    frame = frame.drop_nulls(subplan.key).rechunk()
    hashes = frame.select((pl.struct(subplan.key).hash() % buckets).cast(pl.Int32).alias(_BUCKET))
    starts, rows, _ = grouping.group(hashes[_BUCKET].to_numpy(), buckets)
    frame = frame[rows]
    for bucket, (start, stop) in enumerate(pairwise(starts.tolist())):
        yield bucket, frame[start:stop]


def _together(plan: Plan, piece: Slice, columns: list[pl.Series]) -> pl.DataFrame:
    frame = piece.table.select(payment_columns(plan)).collect()
    return finished(plan, payment_features(plan, frame), columns)


def _nothing(plan: Plan) -> list[pl.Series]:
    kinds = {"number": pl.Float64(), "text": pl.String()}
    names = [output.name for output in plan.outputs] + [output.name for output in plan.links]
    return [pl.Series(name, [], kinds[plan.kinds[name]]) for name in names]
