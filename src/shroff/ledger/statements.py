"""Statements that go to the database's driver as they are: SQLAlchemy's own work would cost more
than theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

Parameters = Sequence[object] | Mapping[str, object]


class Cursor(Protocol):
    """What the cursors of sqlite3 and psycopg have in common."""

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
        # where parameters have no names, their order is the statement's
        self._order: list[int] | None = None
        if compiled.positional:
            self._order = [names.index(name) for name in compiled.positiontup or ()]
        self._same = self._order == list(range(len(names)))
        self._names = names

    def bind(self, values: Sequence[object]) -> Parameters:
        """The parameters of one execution."""
        if self._same:
            return values
        if self._order is None:
            return dict(zip(self._names, values, strict=True))
        return [values[at] for at in self._order]


def cursor(connection: Connection) -> Cursor:
    """A cursor of the driver's connection behind SQLAlchemy's."""
    return cast(Cursor, connection.connection.cursor())


def commit(connection: Connection) -> None:
    """End a transaction, whether SQLAlchemy knows of it or was passed by."""
    if connection.in_transaction():
        connection.commit()
    else:
        connection.connection.commit()


def rollback(connection: Connection) -> None:
    """Undo a transaction, whether SQLAlchemy knows of it or was passed by."""
    connection.rollback()
    connection.connection.rollback()


def hang_up(connection: Connection) -> None:
    """Close a connection, also one that is broken: SQLAlchemy, which was passed by, would try to
    roll it back.
    """
    connection.invalidate()
    connection.close()
