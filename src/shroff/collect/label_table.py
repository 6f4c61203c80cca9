"""A table of labels that stands beside a table of payments: read, and put into the clean table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from shroff.clock import MAX_AHEAD_US, system_time
from shroff.collect.clean import Cleaned
from shroff.collect.labels import read_labels, unranked, with_labels
from shroff.collect.schema import Schema
from shroff.collect.sources import read
from shroff.collect.times import format_time
from shroff.location import Location


@dataclass(frozen=True)
class LabelTable:
    """The labels of `source`, as `read_labels` gives them, with what is reported about them."""

    source: Location
    labels: pl.DataFrame
    schema: Schema

    @classmethod
    def read(cls, source: Location, schema: Schema) -> LabelTable:
        """Read a table of labels.

        Args:
            source: a file on this machine (`local_copies`).

        Raises:
            BadFile: a column is missing, or a value in it cannot be read.
            ConfigurationError: the schema names no label, or no arrival of it.
        """
        raw = read(source, dialect=schema.csv_dialect)
        return cls(source, read_labels(raw, schema, source=str(source)), schema)

    def strange(self, ids: Iterable[pl.Series]) -> dict[str, int]:
        """By reason, how many labels are of none of these payments, and so left out."""
        column = self.labels[self.schema.id]
        known = column.is_null()
        for some in ids:
            known |= column.is_in(some.implode())
        many = int((~known).sum())
        # beside the table's own rows, which are payments
        reason = f"labels in {self.source}: expected the id of a payment in the table"
        return {reason: many} if many else {}

    def notices(self) -> list[str]:
        """What a user should know of the sources and the times of the labels, in sentences."""
        many, told = len(self.labels), list[str]()
        if behind := unranked(self.labels, self.schema):
            told.append(
                f"{self.source}: {behind:,} of {many:,} labels are of no source that "
                "Schema(label_sources=…) lists, so they rank behind all that are."
            )
        arrived = self.labels[str(self.schema.labelled_at)].dt.epoch("us")
        ahead = arrived.filter(arrived > system_time() + MAX_AHEAD_US)
        if len(ahead):
            last = format_time(int(ahead.max()))  # type: ignore[arg-type]  # it is a whole number
            told.append(
                f"{self.source}: {len(ahead):,} of {many:,} labels arrive later than this "
                f"machine's clock, the last at {last}: as the last label of a payment stands, "
                "correct their times."
            )
        return told


def labelled(cleaned: Cleaned, table: LabelTable) -> Cleaned:
    """Clean payments with the histories of a table of labels."""
    return replace(
        cleaned,
        frame=with_labels(cleaned.frame, table.labels, table.schema),
        dropped=cleaned.dropped | table.strange([cleaned.frame[table.schema.id]]),
        told=[*cleaned.told, *table.notices()],
    )
