"""PostgreSQL over ADBC (Arrow Database Connectivity): Arrow batches from a cursor of the server.

A server may hang without closing the connection. After a while of waiting, a new connection is
tried: a server that takes it is busy with the query, one that does not is given up. Pages of a
cursor are what can be waited for so: reading a `COPY` holds Python's lock, so that nothing else
runs meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import polars as pl
from sqlglot import exp

from shroff.collect.patience import answered
from shroff.errors import BadFile, MissingExtra, ShroffError, SourceUnavailable, one_line
from shroff.location import Location

_PAGE_BYTES: Final = 16 << 20
"""The size of a page of a cursor, about."""
_FIRST_PAGE_ROWS: Final = 100
_MAX_PAGE_ROWS: Final = 20_000
_PATIENCE_SECONDS: Final = 30.0
"""Seconds of waiting after which a new connection is tried."""
_CONNECT_SECONDS: Final = 10
_NUMERIC: Final = "numeric"
_PLAIN: Final = frozenset(
    "bool int2 int4 int8 float4 float8 numeric text varchar bpchar date timestamp "
    "timestamptz".split()
)
"""Types that are read as they are; any other (`uuid`, an enumeration, `inet` …) is read as text."""
_COLUMNS: Final = (
    "SELECT a.attname::text AS name, coalesce(b.typname, t.typname)::text AS type FROM "
    "pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON t.typtype = 'd' "
    "AND b.oid = t.typbasetype WHERE a.attrelid = to_regclass({}) AND a.attnum > 0 AND NOT "
    "a.attisdropped ORDER BY a.attnum"
)
_BROKEN: Final = ("08", "53", "57", "58")
"""SQLSTATE classes of a server that shuts down, is full or has lost the connection."""
_SAID: Final = {
    "28": "a user or password that it refuses",
    "3D": "no database of this name",
    "42501": "a user who may not read it",
}
_ONLY_OURS: Final = ("table", "key")


class PostgreSql:
    """The database of a location; libpq finds passwords in `PGPASSWORD` and `~/.pgpass`, too."""

    dialect = "postgres"

    def __init__(self, location: Location) -> None:
        self._location = location
        given = {name: text for name, text in location.options.items() if name not in _ONLY_OURS}
        options = {"connect_timeout": str(_CONNECT_SECONDS)} | given
        self._url = urlunsplit(
            urlsplit(location.text)._replace(query=urlencode(options, quote_via=quote))
        )

    def table(self, name: str) -> exp.Table:
        """The table `name`, or `schema.name`."""
        *schema, last = name.split(".", 1)
        return exp.table_(last, db=schema[0] if schema else None, quoted=True)

    def columns(self, table: exp.Table) -> dict[str, str]:
        """The columns of a table with their type names; of a domain, that of its base type."""
        named = exp.Literal.string(table.sql(self.dialect)).sql(self.dialect)
        return dict(pl.concat(self.batches(_COLUMNS.format(named))).rows())

    def selected(self, name: str, kind: str) -> exp.Expression:
        """A column, or its text."""
        column = exp.column(name, quoted=True)
        if kind in _PLAIN:
            return column
        # as PostgreSQL prints it: a cast to text writes an `inet` otherwise
        printed = exp.Anonymous(this="concat", expressions=[column])
        return exp.Anonymous(this="nullif", expressions=[printed, exp.Literal.string("")])

    def ordered(self, column: exp.Expression) -> exp.Expression:
        """The column itself, so that its index serves."""
        return column

    def batches(self, query: str) -> Iterator[pl.DataFrame]:
        """The result of a query, batch by batch; at least one batch."""
        for batch, kinds in self._answer(query):
            numeric = [batch[name] for name, kind in kinds.items() if kind == _NUMERIC]
            yield batch.with_columns(map(self._decimals, numeric))

    def _answer(self, query: str) -> Iterator[tuple[pl.DataFrame, dict[str, str | None]]]:
        """The pages of a result as they arrive, and PostgreSQL's types of the columns."""
        with self._answering(), self._connected() as cursor:
            # planned for all rows, not for the first of them
            wait = partial(
                answered,
                alive=self._require_answers,
                late=partial(_close, cursor),
                seconds=_PATIENCE_SECONDS,
            )
            wait(lambda: cursor.execute("SET LOCAL cursor_tuple_fraction = 1"))
            wait(lambda: cursor.execute(f"DECLARE shroff NO SCROLL CURSOR FOR {query}"))
            rows = _FIRST_PAGE_ROWS
            while True:
                page, kinds = wait(partial(_page, cursor, rows))
                yield page, kinds
                if len(page) < rows:
                    return
                rows = int(_PAGE_BYTES * len(page) / max(page.estimated_size(), 1))
                rows = min(max(rows, 1), _MAX_PAGE_ROWS)

    def _decimals(self, texts: pl.Series) -> pl.Series:
        """`numeric` columns, which arrive as text, as exact decimals."""
        texts = texts.ext.storage()
        numbers = texts.set((texts == "nan").fill_null(value=False), None)
        digits = numbers.str.extract(r"\.([0-9]+)$").str.len_chars().max()
        try:
            return numbers.cast(pl.Decimal(38, int(digits or 0)))  # type: ignore[arg-type]  # the most of some lengths
        except pl.exceptions.PolarsError:
            raise BadFile(
                f"{self._location}: expected numbers of at most 38 digits in column "
                f"`{texts.name}`, got others; convert them in a view."
            ) from None

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            driver, adbc = (
                import_module("adbc_driver_postgresql.dbapi"),
                import_module("adbc_driver_postgresql"),
            )
        except ImportError as error:
            raise MissingExtra(
                "tables of PostgreSQL need its ADBC driver: `pip install 'shroff[sql]'`."
            ) from error
        connection = driver.connect(self._url)
        cursor = connection.cursor(adbc_stmt_kwargs={adbc.StatementOptions.USE_COPY.value: "false"})
        hangs = False
        try:
            yield cursor
        except SourceUnavailable:
            # of `_require_answers`: a call still uses it
            hangs = True
            raise
        finally:
            if not hangs:
                _close(cursor)

    def _require_answers(self) -> None:
        """Raise `SourceUnavailable` unless the server takes another connection."""
        driver = import_module("adbc_driver_postgresql.dbapi")
        try:
            driver.connect(self._url).close()
        except driver.Error as error:
            raise self._told(error) from None

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except ShroffError:
            raise
        except Exception as error:  # noqa: BLE001  # a broken stream raises errors of Arrow's libraries, not the driver's
            raise self._told(error) from None

    def _told(self, error: Exception) -> ShroffError:
        """The error of a driver in one sentence, without values that its message may contain."""
        state = str(getattr(error, "sqlstate", None) or "")
        said = _SAID.get(state) or _SAID.get(state[:2])
        if said is None and state and not state.startswith(_BROKEN):
            said = f"SQLSTATE {state}"
        if said is not None:
            return BadFile(f"{self._location}: expected a table that can be read, got {said}.")
        # libpq names server and user there, but no password
        reason = re.search(r"connection to server[^\n]*", str(error))
        said = (
            one_line(reason[0].rstrip("."))
            if reason
            else "a connection that broke off, or an option that the driver refuses"
        )
        return SourceUnavailable(
            f"{self._location}: expected a database that answers, got: {said}."
        )


def _close(cursor: Any) -> None:
    cursor.close()
    cursor.connection.close()


def _page(cursor: Any, rows: int) -> tuple[pl.DataFrame, dict[str, str | None]]:
    """The next rows of the cursor, and PostgreSQL's types of the columns."""
    arrow = import_module("arro3.core")
    cursor.execute(f"FETCH {rows} FROM shroff")
    reader = arrow.RecordBatchReader.from_stream(cursor.fetch_arrow())
    kinds = {
        field.name: field.metadata_str.get("ADBC:postgresql:typname") for field in reader.schema
    }
    parts = [pl.DataFrame(batch) for batch in reader]
    if not parts:
        return pl.DataFrame(schema=dict.fromkeys(kinds, pl.Null())), {}
    return pl.concat(parts), kinds
