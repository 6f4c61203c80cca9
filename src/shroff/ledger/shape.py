"""The ledger's tables, indexes and columns: no other object may change, hide or add records."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import Connection, MetaData, create_engine
from sqlalchemy.pool import StaticPool

from shroff.errors import BrokenChain

SchemaObject = tuple[str, str, str]
"""Its kind, its name, and its definition."""

_COLUMNS: Final = {
    "shroff_ledger.arrived": "bigint not null",
    "shroff_ledger.body": "bytea not null",
    "shroff_ledger.chain": "bytea not null",
    "shroff_ledger.digest": "bytea not null",
    "shroff_ledger.kind": "text not null",
    "shroff_ledger.payment_id": "text not null",
    "shroff_ledger.seq": "bigint not null",
    "shroff_ledger.time": "bigint not null",
    "shroff_ledger_head.chain": "bytea not null",
    "shroff_ledger_head.id": "integer not null",
    "shroff_ledger_head.seq": "bigint not null",
    "shroff_ledger_head.version": "integer not null",
}
_INDEXES: Final = {
    "ix_shroff_ledger_arrived": "INDEX ix_shroff_ledger_arrived ON shroff_ledger USING btree "
    "(arrived)",
    "shroff_ledger_head_pkey": "UNIQUE INDEX shroff_ledger_head_pkey ON shroff_ledger_head USING "
    "btree (id)",
    "shroff_ledger_label": "UNIQUE INDEX shroff_ledger_label ON shroff_ledger USING btree "
    "(payment_id, digest)"
    " WHERE (kind = 'label'::text)",
    "shroff_ledger_later": "UNIQUE INDEX shroff_ledger_later ON shroff_ledger USING btree "
    "(payment_id, kind)"
    " WHERE ((kind <> 'payment'::text) AND (kind <> 'label'::text))",
    "shroff_ledger_payment": "UNIQUE INDEX shroff_ledger_payment ON shroff_ledger USING btree "
    "(payment_id)"
    " WHERE (kind = 'payment'::text)",
    "shroff_ledger_pkey": "UNIQUE INDEX shroff_ledger_pkey ON shroff_ledger USING btree (seq)",
    "shroff_ledger_start": "INDEX shroff_ledger_start ON shroff_ledger USING btree (seq) WHERE "
    "(kind = 'start'::text)",
}
# literal: creating tables only to compare them would need the right to create
_IN_POSTGRES: Final[frozenset[SchemaObject]] = frozenset(
    {
        *(("table", name, "kept") for name in ("shroff_ledger", "shroff_ledger_head")),
        *(("column", name, kind) for name, kind in _COLUMNS.items()),
        *(("index", name, f"CREATE {made}") for name, made in _INDEXES.items()),
    }
)
_POSTGRES_OBJECTS: Final = """
WITH own AS (
    SELECT pg_class.oid, relname, relkind, relpersistence, quote_ident(nspname) || '.' AS schema
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid IN (to_regclass('shroff_ledger'), to_regclass('shroff_ledger_head'))
)
SELECT 'table', relname::text,
       CASE WHEN relkind = 'r' AND relpersistence = 'p' THEN 'kept' ELSE 'another' END FROM own
UNION ALL
SELECT 'column', relname || '.' || attname, concat(format_type(atttypid, atttypmod),
    CASE WHEN attnotnull THEN ' not null' END, CASE WHEN atthasdef THEN ' default' END)
FROM own JOIN pg_attribute ON attrelid = own.oid WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'index', indexrelid::regclass::text,
       concat(replace(pg_get_indexdef(indexrelid), ' ON ' || schema, ' ON '),
    CASE WHEN NOT (indisvalid AND indisready AND indislive) THEN ' invalid' END)
FROM own JOIN pg_index ON indrelid = own.oid
UNION ALL
SELECT 'trigger', tgname::text, '' FROM own JOIN pg_trigger ON tgrelid = own.oid
UNION ALL
SELECT 'rule', rulename::text, '' FROM own JOIN pg_rewrite ON ev_class = own.oid
UNION ALL
SELECT 'row security policy', polname::text, '' FROM own JOIN pg_policy ON polrelid = own.oid
UNION ALL
SELECT 'inheriting table', inhrelid::regclass::text, ''
FROM own JOIN pg_inherits ON own.oid IN (inhparent, inhrelid)
"""
_SQLITE_OBJECTS: Final = """
SELECT type, name, coalesce(sql, '') FROM sqlite_master
WHERE lower(tbl_name) IN ('shroff_ledger', 'shroff_ledger_head')
   OR lower(name) IN ('shroff_ledger', 'shroff_ledger_head')
"""


def require_shape(connection: Connection, tables: MetaData) -> None:
    """Raise `BrokenChain` if the ledger's tables are not as the ledger makes them.

    A trigger, a rule or a view in place of a table can change what is written; another index or a
    row-security policy can hide from one reader what another sees.
    """
    if connection.dialect.name == "postgresql":
        found, made = _objects(connection, _POSTGRES_OBJECTS), _IN_POSTGRES
    else:
        found, made = _sqlite_objects(connection), _made(tables)
    names = {item[:2] for item in made}
    for what, name, _ in sorted(found - made):
        if (what, name) in names:
            raise BrokenChain(
                f"the ledger was changed: the {what} `{name}` is not as the ledger made it."
            )
        raise BrokenChain(
            f"the ledger was changed: the {what} `{name}` is not the ledger's: remove it."
        )
    for what, name, _ in sorted(made - found):
        raise BrokenChain(f"the ledger was changed: the {what} `{name}` is missing.")


def require_sound(connection: Connection) -> None:
    """Raise `BrokenChain` if an index of SQLite contradicts its table, which would hide records.

    Reads the whole file. PostgreSQL has no such check without an extension.
    """
    if connection.dialect.name != "postgresql" and connection.exec_driver_sql(
        "PRAGMA integrity_check(1)"
    ).all() != [("ok",)]:
        raise BrokenChain(
            "the ledger was changed: its tables and indexes do not agree (PRAGMA integrity_check)."
        )


def _made(tables: MetaData) -> frozenset[SchemaObject]:
    """SQLite's catalog entries for these tables when newly created."""
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(":memory:"), poolclass=StaticPool
    )
    with engine.connect() as connection:
        tables.create_all(connection)
        made = _sqlite_objects(connection)
    engine.dispose()
    return made


def _sqlite_objects(connection: Connection) -> frozenset[SchemaObject]:
    # SQLite quotes the name of a table that was ever renamed
    return frozenset(
        (what, name, "".join(made.split()).replace('"', ""))
        for what, name, made in _objects(connection, _SQLITE_OBJECTS)
    )


def _objects(connection: Connection, query: str) -> frozenset[SchemaObject]:
    return frozenset((what, name, made) for what, name, made in connection.exec_driver_sql(query))
