"""Statements given to the driver directly: SQLAlchemy's work would cost more than theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from sqlalchemy import ARRAY, Connection, Engine, Table, bindparam, func, select
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

Parameters = Sequence[object] | Mapping[str, object]

_MOST_ROWS: Final = 64
"""Rows of one statement: those of the largest payments stay far below PostgreSQL's limits of a
value and of a statement's time.
"""


class Cursor(Protocol):
    """The common part of the cursors of sqlite3 and psycopg."""

    rowcount: int

    def execute(self, query: str, parameters: Parameters = ..., /) -> Any: ...

    def executemany(self, query: str, parameters: Iterable[Parameters], /) -> Any: ...

    def fetchone(self) -> Sequence[Any] | None: ...

    def fetchall(self) -> Sequence[Sequence[Any]]: ...


class Statement:
    """A statement as text for one database, and the order of its parameters' values."""

    def __init__(self, engine: Engine, statement: ClauseElement, names: Sequence[str] = ()) -> None:
        compiled = cast(SQLCompiler, statement.compile(dialect=engine.dialect))
        self.text = str(compiled)
        # positional parameters follow the statement's order
        self._order: list[int] | None = None
        if compiled.positional:
            self._order = [names.index(name) for name in compiled.positiontup or ()]
        self._same = self._order == list(range(len(names)))
        self._names = names

    def bind(self, values: Sequence[object]) -> Parameters:
        """The parameters of one execution, in the driver's form."""
        if self._same:
            return values
        if self._order is None:
            return dict(zip(self._names, values, strict=True))
        return [values[at] for at in self._order]

    def bind_all(self, rows: Sequence[Sequence[object]]) -> Sequence[Parameters]:
        """The parameters of many executions."""
        return rows if self._same else [self.bind(row) for row in rows]


class Insertion:
    """Inserts rows into a table, given the order of their values.

    PostgreSQL gets one statement with a binary array of each column: one for each row takes the
    server half as long again, and the driver nearly twice as long.
    """

    def __init__(self, engine: Engine, table: Table, names: Sequence[str]) -> None:
        self._by_column = engine.dialect.name == "postgresql"
        insert: ClauseElement = table.insert()
        if self._by_column:
            arrays = [bindparam(name, type_=ARRAY(table.c[name].type)) for name in names]
            insert = table.insert().from_select(
                [*names], select(func.unnest(*arrays).table_valued(*names).render_derived())
            )
        self._statement = Statement(engine, insert, names)
        # without `b`, psycopg writes arrays as text, and bytes in them as hexadecimal digits
        self._text = self._statement.text.replace(")s::", ")b::")

    def execute(self, statements: Cursor, rows: Sequence[Sequence[object]]) -> None:
        """Insert rows, at least one."""
        statement = self._statement
        if not self._by_column:
            statements.executemany(self._text, statement.bind_all(rows))
            return
        for first in range(0, len(rows), _MOST_ROWS):
            columns = zip(*rows[first : first + _MOST_ROWS], strict=True)
            statements.execute(self._text, statement.bind([*map(list, columns)]))


def cursor(connection: Connection) -> Cursor:
    """A cursor of the driver's connection beneath SQLAlchemy's."""
    return cast(Cursor, connection.connection.cursor())


def commit(connection: Connection) -> None:
    """Commit a transaction, whether or not SQLAlchemy knows of it."""
    if connection.in_transaction():
        connection.commit()
    else:
        connection.connection.commit()


def rollback(connection: Connection) -> None:
    """Roll a transaction back, whether or not SQLAlchemy knows of it."""
    connection.rollback()
    connection.connection.rollback()


def hang_up(connection: Connection) -> None:
    """Close a connection, even a broken one, past SQLAlchemy, which would try a rollback."""
    connection.invalidate()
    connection.close()
