"""What the commits of a group's table say: its writes, and the definition in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec
import polars as pl

from shroff.errors import BadFile
from shroff.store.content import digest
from shroff.store.delta import DELTA, NUMBER, written_at
from shroff.store.group import Group
from shroff.store.statistics import ColumnStatistics, decode, encode, statistics

if TYPE_CHECKING:
    from deltalake import DeltaTable

BATCH: Final = "shroff.batch"
ROWS: Final = "shroff.rows"
CONTENT: Final = "shroff.content"
STATISTICS: Final = "shroff.statistics"
GONE: Final = "shroff.gone"
WRITTEN: Final = "shroff.written"
DEFINITION: Final = "shroff.definition"
_FINGERPRINT: Final = "shroff.fingerprint"


@dataclass(frozen=True)
class Version:
    """One write of a group.

    Attributes:
        number: from 1 on; `delta` is the Delta version that it made.
        batch: the name that its writer gave; a replacement of all rows has none.
        rows: how many rows it added; `content` is their SHA-256.
        replaces: whether its rows replaced all earlier ones.
        gone: whether its files had been vacuumed before an erasure.
        described: the statistics of the rows it added, as JSON.
    """

    number: int
    delta: int
    written: datetime
    batch: str
    rows: int
    content: str
    replaces: bool
    gone: bool
    described: str = field(repr=False)

    @cached_property
    def statistics(self) -> Mapping[str, ColumnStatistics]:
        """Those of the rows it added, by column."""
        # decoded when they are asked for: a table may have hundreds of versions
        return decode(self.described)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, without the statistics."""
        return {
            "version": self.number,
            "delta": self.delta,
            "written": self.written.isoformat(timespec="milliseconds"),
            "batch": self.batch,
            "rows": self.rows,
            "replaces": self.replaces,
            "content": self.content,
        }


def version_of(entry: Mapping[str, Any]) -> Version:
    """The write that a commit made.

    Raises:
        BadFile: it has not the marks of one.
    """
    again = entry.get(WRITTEN)
    try:
        return Version(
            number=int(entry[NUMBER]),
            delta=int(entry[DELTA]),
            written=datetime.fromisoformat(again) if again else written_at(entry),
            batch=entry[BATCH],
            rows=int(entry[ROWS]),
            content=entry[CONTENT],
            replaces=not entry[BATCH],
            gone=GONE in entry,
            described=entry[STATISTICS],
        )
    except (KeyError, ValueError):
        raise BadFile(
            "expected a log as the store writes it, got a commit without its marks: another "
            "program changed it."
        ) from None


def metadata(group: Group) -> dict[str, str]:
    """The metadata of a table for its group."""
    return {DEFINITION: msgspec.json.encode(group).decode(), _FINGERPRINT: group.fingerprint()}


def indexed(group: Group) -> list[str]:
    """The columns whose extremes the log may keep: times, which identify nobody."""
    return group.order[len(group.key) :]


def facts_of(rows: pl.DataFrame, group: Group, batch: str) -> dict[str, str]:
    """A commit's description of rows that conform to a group."""
    return {
        BATCH: batch,
        ROWS: str(len(rows)),
        CONTENT: digest(rows),
        STATISTICS: encode(statistics(rows, group)),
    }


def definition_of(table: DeltaTable) -> Group:
    """The group that the metadata of a table define.

    Raises:
        BadFile: the store did not write it.
    """
    text = table.metadata().configuration.get(DEFINITION)
    if text is None:
        raise BadFile(
            f"{table.table_uri}: expected a table that the store wrote, found one without its "
            "definition."
        )
    return msgspec.json.decode(text, type=Group)
