"""Rows that do not fit into memory: a Parquet file, read in chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shroff.arrays import Labels, Matrix, Rows
from shroff.detect.base import training_matrix
from shroff.detect.deep.inputs import Inputs
from shroff.errors import BadFile, DataError

if TYPE_CHECKING:
    import polars as pl

SAMPLE_ROWS = 20_000
"""Rows of a stream kept in memory, to learn centres and scales from and to hold out."""


@dataclass(frozen=True)
class Parquet:
    """A Parquet file of detector inputs: numbers, a column per input in the order of the file,
    missing is null.

    `label` names the column of labels, 0 or 1 (a file without it has only normal rows); `chunk` is
    the number of rows read at a time, of which memory holds about three copies. Raises BadFile for
    a missing file or columns that are not numbers.
    """

    path: str | Path
    label: str = "label"
    chunk: int = 32_768

    def chunks(
        self, *, order: np.random.Generator | None = None
    ) -> Iterator[tuple[Matrix, Labels]]:
        """`X` [rows, columns] and `y` [rows] in chunks; `order` shuffles the chunks."""
        import polars as pl

        scan = self._scan()
        rows = int(scan.select(pl.len()).collect().item())
        starts = np.arange(0, rows, self.chunk)
        for start in starts if order is None else order.permutation(starts):
            yield self._read(scan.slice(int(start), self.chunk).collect())

    def _scan(self) -> pl.LazyFrame:
        import polars as pl

        if not Path(self.path).is_file():
            raise BadFile(f"{self.path}: no such file; expected Parquet with a column per input.")
        try:
            scan = pl.scan_parquet(self.path)
            schema = scan.collect_schema()
        except pl.exceptions.PolarsError as error:
            raise BadFile(
                f"{self.path}: expected a Parquet file ({type(error).__name__})."
            ) from None
        for name, kind in schema.items():
            if not (kind.is_numeric() or kind == pl.Boolean):
                raise BadFile(f"{self.path}: expected numbers in column `{name}`, got {kind}.")
        return scan

    def _read(self, frame: pl.DataFrame) -> tuple[Matrix, Labels]:
        import polars as pl

        labels = np.zeros(len(frame), dtype=np.bool_)
        if self.label in frame.columns:
            # as numbers: Polars refuses to look for whole ones among others
            labelled = frame[self.label].cast(pl.Float64)
            if labelled.null_count() or not labelled.is_in([0.0, 1.0]).all():
                raise DataError(
                    f"{self.path}: expected 0 or 1 in column `{self.label}`, got other values"
                )
            labels = labelled.cast(pl.Boolean).to_numpy()
            frame = frame.drop(self.label)
        return frame.cast(pl.Float32).to_numpy(), labels


@dataclass(frozen=True)
class Survey:
    """The result of one pass over a file: even samples of normal and fraud rows, and a digest."""

    normal: Matrix
    fraud: Matrix
    normal_rows: int
    digest: str

    @classmethod
    def of(cls, source: Parquet, nominal: Mapping[int, int], *, seed: int) -> Survey:
        """Read the file once; raises DataError as `training_matrix` does."""
        rng, digest = np.random.default_rng(seed), hashlib.sha256()
        normal, fraud = _Reservoir(rng), _Reservoir(rng)
        for X, y in source.chunks():
            matrix = training_matrix(X, nominal)
            digest.update(matrix.tobytes() + y.tobytes())
            normal.offer(matrix[~y])
            fraud.offer(matrix[y])
        return cls(normal.rows(), fraud.rows(), normal.seen, digest.hexdigest())


@dataclass
class _Reservoir:
    """An even sample of a stream of rows: those with the smallest random keys."""

    rng: np.random.Generator
    seen: int = 0
    _kept: list[tuple[Matrix, np.ndarray]] = field(default_factory=list)

    def offer(self, rows: Matrix) -> None:
        self.seen += len(rows)
        self._kept.append((rows, self.rng.random(len(rows))))
        if sum(len(keys) for _, keys in self._kept) > 2 * SAMPLE_ROWS:
            self._thin()

    def rows(self) -> Matrix:
        self._thin()
        return self._kept[0][0]

    def _thin(self) -> None:
        rows = np.concatenate([rows for rows, _ in self._kept])
        keys = np.concatenate([keys for _, keys in self._kept])
        best = np.sort(np.argsort(keys, kind="stable")[:SAMPLE_ROWS])
        self._kept = [(rows[best], keys[best])]


@dataclass(frozen=True)
class RowStream:
    """The encoded normal rows of a file; `seed` orders its chunks."""

    source: Parquet
    inputs: Inputs
    rows: int
    seed: int
    limit: float = np.inf
    """Squared length beyond which an encoded row is left out."""

    def encoded(self, epoch: int) -> Iterator[Rows]:
        """All normal rows once, in chunks whose order follows from the epoch."""
        for X, y in self.source.chunks(order=np.random.default_rng([self.seed, epoch])):
            rows = self.inputs.encode(X[~y]).astype(np.float32)
            yield rows[np.square(rows).sum(axis=1) <= self.limit]
