"""Indexes over some rows of a table, in SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Index, TextClause, event


def partial_index(
    name: str,
    *columns: ColumnElement[Any],
    where: ColumnElement[bool] | TextClause,
    unique: bool = False,
) -> Index:
    """An index over the rows for which `where` holds.

    SQLAlchemy loads a dialect whole when an option of it is first named. So PostgreSQL's, which
    takes longer than half of a ledger's start, is named only where a server is used.
    """
    index = Index(name, *columns, unique=unique, sqlite_where=where)
    event.listen(index, "before_create", _say_to_postgres)
    return index


def _say_to_postgres(index: Index, connection: Connection, **_: Any) -> None:
    if connection.dialect.name == "postgresql":
        index.dialect_kwargs["postgresql_where"] = index.dialect_kwargs["sqlite_where"]
