"""The protocol of tables that are no files, read in chunks that end with a bookmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import polars as pl

CHUNK_ROWS: Final = 50_000
"""The fewest rows of a chunk, except for the last; about 10 MB of payments."""

Bookmark = Any
"""A JSON value with which its source finds the end of a chunk again."""

Count = Callable[[int, int | None], None]
"""Called with the rows read so far, and the number of all rows if it is known."""


def uncounted(done: int, total: int | None) -> None:
    """A count that is not shown."""


@dataclass(frozen=True)
class Findings:
    """What a source left out, as numbers by reason, and what its user should check."""

    left_out: Mapping[str, int] = field(default_factory=dict)
    notices: Sequence[str] = ()

    def __or__(self, other: Findings) -> Findings:
        return Findings({**self.left_out, **other.left_out}, [*self.notices, *other.notices])


@dataclass(frozen=True)
class TableChunk:
    """Rows of a table, and the bookmark after them; None if no read can resume there.

    `findings`: about the whole table, in its last chunk.
    """

    rows: pl.DataFrame
    bookmark: Bookmark | None
    findings: Findings = Findings()


class Remote(Protocol):
    """A table in a database or a service."""

    def columns(self) -> Sequence[str] | None:
        """The table's columns; None if rows may have any.

        Raises:
            BadFile: there is no such table.
            SourceUnavailable: the database or service does not answer.
        """
        ...

    def count(self) -> int | None:
        """The number of rows, if it is known at once."""
        ...

    def chunks(
        self, names: Sequence[str] | None, *, key: str | None, after: Bookmark | None
    ) -> Iterator[TableChunk]:
        """The rows in order, from a bookmark on.

        Args:
            names: the columns to read, of those that the table has; None for all.
            key: the column by which rows are ordered where the table has no order of its own.

        Raises:
            BadFile: there is no such table, or its values cannot be read.
            SourceUnavailable: the database or service does not answer, or breaks off.
        """
        ...
