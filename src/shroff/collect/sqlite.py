"""A SQLite file, read by `sqlite3`: a column may hold several types, which ADBC refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import polars as pl
from sqlglot import exp

from shroff.collect.align import typed
from shroff.collect.remote import CHUNK_ROWS
from shroff.errors import BadFile
from shroff.location import Location


class SqliteFile:
    """The database of a location, opened read-only."""

    dialect = "sqlite"

    def __init__(self, location: Location) -> None:
        self._location = location
        self._file = Path(unquote(urlsplit(location.text).path[1:]))
        if not self._file.is_file():
            raise BadFile(f"{location}: expected a SQLite file, found no such file.")

    def table(self, name: str) -> exp.Table:
        """The table of this name."""
        return exp.table_(name, quoted=True)

    def columns(self, table: exp.Table) -> dict[str, str]:
        """The columns of a table and the types that they were declared with."""
        named = exp.Literal.string(table.name).sql(self.dialect)
        found = pl.concat(self.batches(f"SELECT name, type FROM pragma_table_info({named})"))
        return dict(found.rows())

    def selected(self, name: str, kind: str) -> exp.Expression:
        """The column."""
        return exp.column(name, quoted=True)

    def ordered(self, column: exp.Expression) -> exp.Expression:
        """The column compared bytewise: `NOCASE` would merge different values."""
        return exp.Collate(this=column.copy(), expression=exp.var("BINARY"))

    def batches(self, query: str) -> Iterator[pl.DataFrame]:
        """The result of a query, batch by batch; at least one batch."""
        try:
            with closing(
                sqlite3.connect(f"file:{quote(str(self._file))}?mode=ro", uri=True)
            ) as connection:
                cursor = connection.execute(query)
                names = [one[0] for one in cursor.description]
                rows = cursor.fetchmany(CHUNK_ROWS)
                if not rows:
                    yield pl.DataFrame(schema=dict.fromkeys(names, pl.Null()))
                while rows:
                    columns = zip(*rows, strict=True)
                    yield pl.DataFrame(
                        [typed(name, values) for name, values in zip(names, columns, strict=True)]
                    )
                    rows = cursor.fetchmany(CHUNK_ROWS)
        except sqlite3.Error as error:
            raise BadFile(
                f"{self._location}: expected a SQLite database that can be read, got "
                f"{error.sqlite_errorname}."
            ) from None
