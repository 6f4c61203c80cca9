"""Where the features of a payment are put together: its home, one of the parts of the last step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import polars as pl

from shroff.errors import DataError
from shroff.features.engines.spark.blocks import Cut, cut, cut_at
from shroff.features.engines.spark.files import Piece, read
from shroff.features.engines.spark.parts import Parts, spread
from shroff.features.engines.subplans import ROW

_HOME: Final = "shroff home"


class Homes(Protocol):
    """The homes of a job's payments.

    Attributes:
        same_parts: whether what is carried goes to its home at once, because homes are the parts of
            the hash of `ROW`.
    """

    @property
    def same_parts(self) -> bool: ...

    def __len__(self) -> int: ...

    def carried(self, table: pl.DataFrame, own: Sequence[str]) -> pl.DataFrame:
        """`ROW` and what else is carried of some payments for features that read `own`."""

    def cut(self, table: pl.DataFrame, number: int) -> Iterator[Cut]:
        """The rows of a table in the order of `ROW`, by home."""

    def payments(self, carried: pl.DataFrame, own: Sequence[str]) -> pl.DataFrame:
        """`ROW` and `own` of all payments of a home."""


@dataclass(frozen=True)
class HashHomes:
    """By the hash of `ROW`."""

    parts: Parts
    same_parts: bool = True

    def __len__(self) -> int:
        return len(self.parts.numbers)

    def carried(self, table: pl.DataFrame, own: Sequence[str]) -> pl.DataFrame:
        return table.select(ROW, *own)

    def cut(self, table: pl.DataFrame, number: int) -> Iterator[Cut]:
        placed = table.with_columns(self.parts.place([ROW]).alias(_HOME))
        return cut(placed, number, _HOME, self.parts.numbers)

    def payments(self, carried: pl.DataFrame, own: Sequence[str]) -> pl.DataFrame:
        if carried[ROW].n_unique() < len(carried):
            raise DataError(
                "expected another id (or order) in every row of the table, got some twice: clean "
                "it first."
            )
        return carried


@dataclass(frozen=True)
class PieceHomes:
    """By piece of a file: a home reads its payments again, so only its first row is carried."""

    pieces: Sequence[Piece]
    same_parts: bool = False

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def numbers(self) -> list[int]:
        """For each piece a number that Spark sends to a partition of its own."""
        return spread(len(self.pieces))

    def carried(self, table: pl.DataFrame, own: Sequence[str]) -> pl.DataFrame:
        return table.select(ROW).head(1)

    def cut(self, table: pl.DataFrame, number: int) -> Iterator[Cut]:
        starts = [piece.order for piece in self.pieces]
        ends = [*np.searchsorted(table[ROW].to_numpy(), starts[1:]).tolist(), len(table)]
        return cut_at(table, number, ends, self.numbers)

    def payments(self, carried: pl.DataFrame, own: Sequence[str]) -> pl.DataFrame:
        starts = [piece.order for piece in self.pieces]
        found = np.searchsorted(starts, carried[ROW].sort().to_numpy(), side="right") - 1
        return pl.concat([read(self.pieces[at], own) for at in found.tolist()])
