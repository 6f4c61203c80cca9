"""PostgreSQL over ADBC (Arrow Database Connectivity): Arrow batches by binary `COPY`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import polars as pl
from sqlglot import exp

from shroff.errors import BadFile, MissingExtra, ShroffError, SourceUnavailable, one_line
from shroff.location import Location

_BATCH_BYTES: Final = 16 << 20
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
        options = {name: text for name, text in location.options.items() if name not in _ONLY_OURS}
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
        """The batches of a result as they arrive, and PostgreSQL's types of the columns."""
        arrow = import_module("arro3.core")
        with self._answering(), self._connected() as cursor:
            cursor.execute(query)
            reader = arrow.RecordBatchReader.from_stream(cursor.fetch_arrow())
            kinds = {
                field.name: field.metadata_str.get("ADBC:postgresql:typname")
                for field in reader.schema
            }
            none = True
            for batch in reader:
                none = False
                yield pl.DataFrame(batch), kinds
            if none:
                yield pl.DataFrame(schema=dict.fromkeys(kinds, pl.Null())), {}

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
        options = {adbc.StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(_BATCH_BYTES)}
        with (
            driver.connect(self._url) as connection,
            connection.cursor(adbc_stmt_kwargs=options) as cursor,
        ):
            yield cursor

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
