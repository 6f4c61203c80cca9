"""The contract of tables that are no files: read in parts, each of which says where the next read
may begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import polars as pl

PART_ROWS: Final = 50_000
"""The least number of rows of a part, except for the last; about 10 MB of payments."""

Bookmark = Any
"""A JSON value that says where a part ends, for the source that made it."""

Count = Callable[[int, int | None], None]
"""Called with the rows read so far, and with the number of all rows where it is known."""


def uncounted(done: int, total: int | None) -> None:
    """A count that nobody watches."""


@dataclass(frozen=True)
class TablePart:
    """Rows of a table, and where a later read goes on after them; None: it cannot go on here."""

    rows: pl.DataFrame
    bookmark: Bookmark | None


class Remote(Protocol):
    """A table in a database or a service."""

    def columns(self) -> Sequence[str] | None:
        """The table's columns; None where rows may have any.

        Raises:
            BadFile: there is no such table.
            SourceUnavailable: the database or service does not answer.
        """
        ...

    def count(self) -> int | None:
        """The number of rows, where it is known at once."""
        ...

    def parts(
        self, names: Sequence[str] | None, *, key: str | None, after: Bookmark | None
    ) -> Iterator[TablePart]:
        """The rows in order, from a bookmark on.

        Args:
            names: the columns to read, of those that the table has; None for all.
            key: the column by which rows are ordered where the table has no order of its own.

        Raises:
            BadFile: there is no such table, or its values cannot be read.
            SourceUnavailable: the database or service does not answer, or breaks off.
        """
        ...
