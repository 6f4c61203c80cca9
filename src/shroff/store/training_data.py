"""A training dataset: its manifest, its lineage, and its rows to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from shroff.arrays import Floats
from shroff.errors import NotFound, did_you_mean
from shroff.store import readers
from shroff.store.group import Group
from shroff.store.tables import GroupTable
from shroff.store.training_set import PART, STATUS, TrainingSet

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import tensorflow as tf
    from pyspark.sql import DataFrame as SparkFrame
    from pyspark.sql import SparkSession


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """A group that a dataset was made of: its name as `asked`, the write and the version."""

    asked: str
    group: str
    version: int
    number: int
    delta: int
    fingerprint: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of a training dataset; it holds no value of a row.

    Attributes:
        definition: that of the dataset.
        group: its columns, key and times.
        origin: of each joined column, the group it comes from.
        rows: how many payments; `content` is the SHA-256 of their values.
        lineage: the exact versions of the groups that it was made of.
        left_out: how many payments of the group are not in it, by reason.
        parts: payments by part, and frauds among them where there are labels.
        folder: where its rows are, under the root.
        statuses: by the status column of each joined group, payments by status.
    """

    definition: TrainingSet
    group: Group
    origin: dict[str, str]
    rows: int
    content: str
    lineage: list[Lineage]
    left_out: dict[str, int]
    parts: dict[str, dict[str, int]]
    folder: str
    statuses: dict[str, dict[str, int]] = {}


@dataclass(frozen=True)
class TrainingData:
    """A version of a training dataset, as `FeatureStore.create` and `latest` give it."""

    name: str
    version: int
    made: datetime
    manifest: Manifest
    table: GroupTable

    def read(
        self, columns: Sequence[str] | None = None, *, part: str | None = None
    ) -> pl.DataFrame:
        """The payments in order of event time and key: key, times, and these columns or all.

        Args:
            part: only the payments of this part.

        Raises:
            UnknownColumn: a column that the dataset does not have.
            NotFound: there is no such part.
        """
        first = [self.manifest.group.time, *self.manifest.group.key]
        return self.table.place.collect(self.scan(columns, part=part)).sort(first)

    def scan(
        self, columns: Sequence[str] | None = None, *, part: str | None = None
    ) -> pl.LazyFrame:
        """The rows of `read`, lazily, in order of the key."""
        if part is None:
            return self.table.scan(columns)
        chosen = None if columns is None else list(columns)
        rows = self.table.scan(chosen if chosen is None else [*chosen, PART]).filter(
            pl.col(PART) == self._part(part)
        )
        return rows if chosen is None or PART in chosen else rows.drop(PART)

    def pandas(
        self, columns: Sequence[str] | None = None, *, part: str | None = None
    ) -> pd.DataFrame:
        """The rows of `read` as a pandas table."""
        return readers.to_pandas(self.read(columns, part=part))

    def arrow(self, columns: Sequence[str] | None = None, *, part: str | None = None) -> pa.Table:
        """The rows of `read` as a PyArrow table."""
        return readers.to_arrow(self.read(columns, part=part))

    def numpy(self, columns: Sequence[str], *, part: str | None = None) -> Floats:
        """A matrix of numbers in the order of `read`; a missing value is NaN, true is 1.

        Raises:
            ConfigurationError: a column is a text or a time.
        """
        return readers.to_numpy(self.read(columns, part=part), columns, self.manifest.group.columns)

    def tensorflow(
        self,
        columns: Sequence[str],
        *,
        label: str | None = None,
        part: str | None = None,
        batch: int = 1_024,
    ) -> tf.data.Dataset:
        """Batches for `tf.data`, read in turn: the dataset may be larger than memory.

        Args:
            label: the column that is given beside the dictionary of the others.
        """
        every = list(dict.fromkeys([*columns, *([label] if label else [])]))
        chosen = None if part is None else pl.col(PART) == self._part(part)
        rows = self.table.scan([*every, *([] if part is None else [PART])])
        kinds = self.manifest.group.columns
        return readers.to_tensorflow(rows, every, kinds, label=label, batch=batch, chosen=chosen)

    def spark(self, session: SparkSession, *, part: str | None = None) -> SparkFrame:
        """A Spark table, read without a further jar.

        Raises:
            ConfigurationError: another program gave the table deletion vectors or column mapping.
        """
        whole = self.table.spark(session)
        return whole if part is None else whole.where(whole[PART] == self._part(part))

    def status(self, column: str) -> pl.DataFrame:
        """Whether each payment has a value of a joined column, in the order of `read`.

        Returns:
            The key, and `status`: `present`; `null`, where the row that stood has none;
                `not_yet_known`, where the
            entity's rows came later; `never`, where it has none.

        Raises:
            NotFound: the column was not joined.
        """
        if column not in self.manifest.origin:
            hint = did_you_mean(column, self.manifest.origin) or "."
            raise NotFound(
                f"training dataset {self.label}: expected a column that was joined{hint}"
            )
        known = self.status_of(column)
        rows = self.read([column, known])
        null = (pl.col(known) == "present") & pl.col(column).is_null()
        return rows.select(
            *self.manifest.group.key,
            pl.when(null).then(pl.lit("null")).otherwise(known).alias("status"),
        )

    def status_of(self, column: str) -> str:
        """The status column of the group that a column comes from."""
        mine = [
            name
            for name, origin in self.manifest.origin.items()
            if origin == self.manifest.origin[column]
        ]
        ends = [name for name in mine if name.endswith(self.manifest.origin[column] + STATUS)]
        # a group joined twice has two prefixes: the longest that fits is the column's
        return max(ends, key=lambda name: len(_common(name, column)))

    def _part(self, part: str) -> str:
        if part not in self.manifest.parts:
            parts = ", ".join(self.manifest.parts) or "none"
            raise NotFound(f"training dataset {self.label}: expected a part of {parts}.")
        return part

    @property
    def label(self) -> str:
        """The dataset in words: `cards` version 1."""
        return f"`{self.name}` version {self.version}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        found = {
            "name": self.name,
            "version": self.version,
            "made": self.made.isoformat(timespec="milliseconds"),
        }
        return {**found, **msgspec.to_builtins(self.manifest)}


def _common(one: str, other: str) -> str:
    length = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    return one[:length]
