"""Tables to be read through every door."""

from __future__ import annotations

from typing import Any

import polars as pl
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from shroff import Schema
from shroff.collect import clean, local_copies, read

KEY = b"k" * 32
SCHEMA = Schema(
    id="id",
    time="at",
    amount="eur",
    label="fraud",
    nominal=["mcc", "country", "day", "flag", "host"],
    numeric=["score", "count"],
    personal=["email"],
    keys=["card_id"],
)
COLUMNS = {
    "id": "text",
    "at": "timestamptz",
    "eur": "numeric(14, 2)",
    "fraud": "boolean",
    "mcc": "integer",
    "country": "text",
    "day": "date",
    "flag": "boolean",
    "host": "uuid",
    "score": "double precision",
    "count": "bigint",
    "email": "text",
    "card_id": "numeric",
}
"""Columns and PostgreSQL's types for them."""
_HOSTS = ("6f0a9c5e-0000-4000-8000-000000000001", "6f0a9c5e-0000-4000-8000-000000000002")
_LONG = "123456789012345678901234567890"
VALUES: dict[str, list[str | None]] = {
    "id": ["p1", "p2", "p3", "p4"],
    "at": [
        "2024-05-04T10:00:00.123456+02:00",
        *(f"2024-05-04T08:00:0{second}Z" for second in (1, 2, 3)),
    ],
    "eur": ["136.69", "0.00", "99999999999.99", "5.10"],
    "fraud": ["0", "1", None, "0"],
    "mcc": ["5411", "32", None, "742"],
    "country": ["DK", "Ærø", None, "NULL"],
    "day": ["2024-05-04", None, "1999-12-31", None],
    "flag": ["true", None, "false", "true"],
    "host": [_HOSTS[0], None, _HOSTS[1], None],
    "score": ["0.1", "1e-07", "-12.5", "3"],
    "count": ["9007199254740991", None, "-3", "0"],
    "email": ["ada@example.org", "Ada@example.org", None, "bo@example.org"],
    "card_id": [_LONG, "7", "555", None],
}
"""The values as a CSV file has them."""


def raw() -> pl.DataFrame:
    """The rows as texts."""
    return pl.DataFrame(VALUES, schema=dict.fromkeys(COLUMNS, pl.String))


def fill(server: str, statements: list[str], table: pl.DataFrame | None = None) -> None:
    """Run statements, and put the rows of a table named `payments` into it."""
    engine = create_engine(server, poolclass=NullPool)
    with engine.begin() as connection:
        for one in statements:
            connection.execute(text(one))
        if table is not None:
            marks = ", ".join(f":{name}" for name in table.columns)
            connection.execute(text(f"INSERT INTO payments VALUES ({marks})"), table.to_dicts())
    engine.dispose()


def location(server: str, **query: str) -> str:
    """The text by which shroff finds the table `payments` of a test's server."""
    url = make_url(server).set(drivername="postgresql")
    return url.update_query_dict({"table": "payments"} | query).render_as_string(
        hide_password=False
    )


def through(where: str, schema: Schema = SCHEMA, **words: Any) -> pl.DataFrame:
    """The clean table of a location."""
    with local_copies(schema, key=KEY) as local:
        table = local(where, alone=True)
        return clean(read(table), schema, key=KEY, source=str(table), **words).frame
