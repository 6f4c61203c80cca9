"""How much memory a table takes that is read from a database: under a cap, whatever its length.

    python -m benchmarks.sources
    python -m benchmarks.sources --payments 2000000 --cap 600

Payments of nine columns are written to SQLite, to a PostgreSQL server that is started for them, and
to a Delta table of one file. A process of its own makes the local copy that every command reads
(`shroff.collect.local_copies`), under a limit on what it may allocate (RLIMIT_DATA), and says its
peak.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table
from sqlalchemy import NullPool, create_engine, text

from servers import stoppable_postgres
from shroff import Schema
from shroff.collect import local_copies
from shroff.collect.sources import parquet_rows

SCHEMA = Schema(
    id="id",
    time="at",
    amount="eur",
    currency="currency",
    nominal=["mcc", "country"],
    keys=["card_id", "merchant_id"],
    personal=["email"],
)
SQLITE = """
CREATE TABLE payments AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
SELECT printf('p%09d', i) AS id, strftime('%Y-%m-%dT%H:%M:%SZ', 1700000000 + 7 * i, 'unixepoch')
AS at, (i * 7919 % 100000) / 100.0 AS eur, 'EUR' AS currency, CAST(5000 + i % 90 AS TEXT) AS mcc,
'DK' AS country, printf('card%06d', i * 31 % 50000) AS card_id, printf('shop%05d', i * 17 % 4000)
AS merchant_id, printf('person%d@example.org', i * 31 % 50000) AS email FROM n
"""
POSTGRESQL = """
CREATE TABLE payments AS SELECT 'p' || lpad(CAST(i AS text), 9, '0') AS id,
to_timestamp(1700000000 + 7 * CAST(i AS bigint)) AS at,
CAST((CAST(i AS bigint) * 7919 % 100000) / 100.0 AS numeric(14, 2)) AS eur, 'EUR' AS currency,
CAST(5000 + i % 90 AS text) AS mcc, 'DK' AS country,
'card' || CAST(i AS bigint) * 31 % 50000 AS card_id, 'shop' || CAST(i AS bigint) * 17 % 4000
AS merchant_id, 'person' || CAST(i AS bigint) * 31 % 50000 || '@example.org' AS email
FROM generate_series(1, :rows) i
"""


def main() -> None:
    """Write tables of both lengths, read each in a process of its own, and print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--payments", type=int, default=2_000_000)
    parser.add_argument("--cap", type=int, default=1_000, help="megabytes a reader may allocate")
    asked = parser.parse_args()
    table = Table("Source", "payments", "seconds", "peak, MB")
    for rows in (20_000, asked.payments):
        for name, make in (("SQLite", _sqlite), ("PostgreSQL", _postgresql), ("Delta", _delta)):
            with make(rows) as where:
                found = _read(where, asked.cap)
            table.add_row(
                name, f"{found['rows']:,}", f"{found['seconds']:.1f}", f"{found['peak']:,.0f}"
            )
    Console().print(table, f"A reader may allocate {asked.cap:,} MB.")


@contextmanager
def _sqlite(rows: int) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        with closing(sqlite3.connect(f"{folder}/log.db")) as connection, connection:
            connection.execute(SQLITE, (rows,))
            connection.execute("CREATE UNIQUE INDEX ids ON payments (id)")
        yield f"sqlite:///{folder}/log.db?table=payments"


@contextmanager
def _postgresql(rows: int) -> Iterator[str]:
    with stoppable_postgres("fsync=off") as server:
        with create_engine(server.url, poolclass=NullPool).begin() as connection:
            connection.execute(text(POSTGRESQL), {"rows": rows})
            connection.execute(text("CREATE UNIQUE INDEX ids ON payments (id)"))
        yield f"{server.url.replace('+psycopg', '')}?table=payments"


@contextmanager
def _delta(rows: int) -> Iterator[str]:
    """A table of one file."""
    i = pl.int_range(1, rows + 1, dtype=pl.Int64)
    person = (i * 31 % 50_000).cast(pl.String)
    with TemporaryDirectory() as folder:
        pl.select(
            id=pl.format("p{}", i.cast(pl.String).str.zfill(9)),
            at=pl.from_epoch(1_700_000_000 + 7 * i).dt.replace_time_zone("UTC"),
            eur=(i * 7919 % 100_000 / 100).cast(pl.Decimal(14, 2)),
            currency=pl.lit("EUR"),
            mcc=(5_000 + i % 90).cast(pl.String),
            country=pl.lit("DK"),
            card_id=pl.format("card{}", person),
            merchant_id=pl.format("shop{}", (i * 17 % 4_000).cast(pl.String)),
            email=pl.format("person{}@example.org", person),
        ).write_delta(folder)
        yield f"delta:{folder}"


def _read(where: str, cap: int) -> dict[str, Any]:
    with TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.sources", "read", where, str(cap)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={"SHROFF_HOME": home, "PATH": "/usr/bin:/bin"},
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def read(where: str, cap: int) -> None:
    """Make a local copy under a cap of so many megabytes, and print what it took."""
    resource.setrlimit(resource.RLIMIT_DATA, (cap << 20, cap << 20))
    started = perf_counter()
    with local_copies(SCHEMA, key=bytes(32)) as local:
        rows = parquet_rows(Path(local(where, alone=True)))
    peak = _peak()
    print(json.dumps({"rows": rows, "seconds": perf_counter() - started, "peak": peak}))


def _peak() -> float:
    """The most memory that this process had, in megabytes; `ru_maxrss` counts its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        read(sys.argv[2], int(sys.argv[3]))
    else:
        main()
