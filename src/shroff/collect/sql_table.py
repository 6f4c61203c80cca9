"""A table or view of a SQL database: one query in order of a key, by which reads resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import polars as pl
from sqlglot import exp

from shroff.collect.align import aligned
from shroff.collect.remote import CHUNK_ROWS, Bookmark, TableChunk
from shroff.errors import BadFile, ConfigurationError
from shroff.location import FORMS, Location


class Database(Protocol):
    """What differs between kinds of databases."""

    dialect: str
    """The dialect's name in sqlglot."""

    def table(self, name: str) -> exp.Table:
        """The table that a location's `table` names."""
        ...

    def columns(self, table: exp.Table) -> dict[str, str]:
        """The columns of a table and their types; none if there is no such table."""
        ...

    def selected(self, name: str, kind: str) -> exp.Expression:
        """A column as it is read."""
        ...

    def ordered(self, column: exp.Expression) -> exp.Expression:
        """A column for comparisons, in which different values never tie."""
        ...

    def batches(self, query: str) -> Iterator[pl.DataFrame]:
        """The result of a query, batch by batch.

        Raises:
            BadFile: it cannot be read.
            SourceUnavailable: the database does not answer, or breaks off.
        """
        ...


class SqlTable:
    """The table of a location, in a database."""

    def __init__(self, location: Location, database: Database) -> None:
        self._location = location
        self._database = database
        named = location.options.get("table")
        if not named:
            raise ConfigurationError(
                f"{location}: expected its table, as in {FORMS[str(location.scheme)]}."
            )
        self._table = database.table(named)
        self._key = location.options.get("key")
        self._columns: dict[str, str] = {}

    def columns(self) -> list[str]:
        """The table's columns."""
        return list(self._known())

    def count(self) -> int:
        """The number of rows."""
        [found] = self._database.batches(f"SELECT count(*) AS many FROM {self._sql(self._table)}")
        return int(found["many"].item())

    def chunks(
        self, names: Sequence[str] | None, *, key: str | None, after: Bookmark | None
    ) -> Iterator[TableChunk]:
        """The rows in order of the location's `key`, else of `key`; a chunk has whole keys."""
        known, key = self._known(), self._key or key
        chosen = [name for name in known if names is None or name in names or name == key]
        held = pl.DataFrame(schema=dict.fromkeys(chosen, pl.Null()))
        for batch in self._database.batches(self._query(chosen, key, after)):
            held = aligned([held.lazy(), batch.lazy()]).collect() if len(held) else batch
            if len(held) >= CHUNK_ROWS:
                rows, bookmark = _cut(held, key)
                if rows:
                    yield TableChunk(held[:rows], bookmark)
                    held = held[rows:]
        yield TableChunk(held, None)

    def _known(self) -> dict[str, str]:
        if not self._columns:
            self._columns = self._database.columns(self._table)
        if not self._columns:
            raise BadFile(f"{self._location}: expected a table or a view, found none of this name.")
        if self._key is not None and self._key not in self._columns:
            raise BadFile(
                f"{self._location}: expected a column `{self._key}` to order the rows by, found "
                "none."
            )
        return self._columns

    def _query(self, names: Sequence[str], key: str | None, after: Bookmark | None) -> str:
        query = exp.select(*(self._column(name).as_(name, quoted=True) for name in names)).from_(
            self._table
        )
        if key is not None:
            by = self._database.ordered(self._column(key))
            query = query.order_by(exp.Ordered(this=by, nulls_first=False))
            if after is not None:
                kind, text = after
                last = exp.Literal.number(text) if kind == "number" else exp.Literal.string(text)
                query = query.where(
                    exp.or_(exp.GT(this=by, expression=last), by.copy().is_(exp.null()))
                )
        return self._sql(query)

    def _column(self, name: str) -> exp.Expression:
        return self._database.selected(name, self._known()[name])

    def _sql(self, expression: exp.Expression) -> str:
        return expression.sql(self._database.dialect)


def _cut(rows: pl.DataFrame, key: str | None) -> tuple[int, Bookmark | None]:
    """How many rows make a chunk, and their last key; no rows if all have the same key."""
    if key is None or rows[key].null_count():
        # rows without a key come last, and no read can resume among them
        return len(rows), None
    keys = rows[key]
    others = (keys != keys[-1]).arg_true()
    if not len(others):
        return 0, None
    kind = "number" if keys.dtype.is_numeric() else "text"
    return others[-1] + 1, [kind, str(keys[others[-1]])]
