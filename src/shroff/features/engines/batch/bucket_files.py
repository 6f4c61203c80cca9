"""Rows of a table on disk by bucket: a file per slice, with each bucket's rows side by side.

A table has hundreds of slices and buckets. A file for each pair of them would cost more time in the
file system than its rows do; and Arrow's stream format is read at half the cost of its file format
where frames are small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import polars as pl


class Block(NamedTuple):
    """A bucket's rows of one slice: `size` bytes of a file from `offset` on."""

    bucket: int
    path: Path
    offset: int
    size: int


def write_blocks(path: Path, parts: Iterable[tuple[int, pl.DataFrame]]) -> list[Block]:
    """Write a slice's rows by bucket; buckets without rows have no block."""
    blocks = []
    with path.open("xb") as file:
        for bucket, rows in parts:
            if len(rows):
                offset = file.tell()
                rows.write_ipc_stream(file, compression="lz4")
                blocks.append(Block(bucket, path, offset, file.tell() - offset))
    return blocks


def read_blocks(blocks: Sequence[Block]) -> pl.DataFrame:
    """The rows of these blocks (at least one), in this order."""
    return pl.concat([_read(block) for block in blocks])


def _read(block: Block) -> pl.DataFrame:
    with block.path.open("rb") as file:
        file.seek(block.offset)
        return pl.read_ipc_stream(BytesIO(file.read(block.size)))
