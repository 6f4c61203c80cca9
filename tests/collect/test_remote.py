"""Tables of databases: the same values as from files, broken reads that go on, and no secret in any
message.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copytree
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import pytest
from azure.data.tables import EdmType, EntityProperty, TableServiceClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy import NullPool, create_engine, make_url, text

from collect.sources import COLUMNS, KEY, SCHEMA, fill, location, raw, through
from servers import or_skip, postgres_schema, stoppable_postgres
from shroff import Schema
from shroff.collect import clean, local_copies, read, sql_table
from shroff.collect.addresses import remote_table
from shroff.errors import BadFile, ConfigurationError, SourceUnavailable
from shroff.location import Location
from shroff.pipeline import collect_table
from shroff.project import load_project
from shroff.simulate import simulate
from shroff.simulate.two_tables import write_two_tables

SMALL = Schema(id="id", time="at", amount="eur", keys=["card"], personal=["email"])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of SHROFF_HOME for each test."""
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """An empty schema in PostgreSQL."""
    with postgres_schema(postgres_server) as url:
        yield url


def sqlite(folder: Path, table: pl.DataFrame, declared: str = "") -> str:
    """The location of a SQLite file with this table."""
    with closing(sqlite3.connect(folder / "log.db")) as connection, connection:
        connection.execute(f"CREATE TABLE payments ({declared or ', '.join(table.columns)})")
        marks = ", ".join("?" * table.width)
        connection.executemany(f"INSERT INTO payments VALUES ({marks})", table.rows())
    return f"sqlite:///{folder}/log.db?table=payments"


def small(rows: int) -> pl.DataFrame:
    """Payments as texts, in order of their ids."""
    return pl.DataFrame(
        {
            "id": [f"p{row:07}" for row in range(rows)],
            "at": [f"2024-05-04T10:{row // 60 % 60:02}:{row % 60:02}Z" for row in range(rows)],
            "eur": [f"{row % 997}.25" for row in range(rows)],
            "card": [f"c{row % 13}" for row in range(rows)],
            "email": [f"SECRET{row % 7}@example.org" for row in range(rows)],
        }
    )


# --- the same values ------------------------------------------------------------------------------
def expected() -> pl.DataFrame:
    return clean(raw(), SCHEMA, key=KEY).frame


def test_a_typed_parquet_file_has_the_values_of_the_csv_file(tmp_path: Path) -> None:
    typed = raw().with_columns(
        pl.col("mcc", "count").cast(pl.Int64), pl.col("score").cast(pl.Float64)
    )
    typed.with_columns(pl.col("eur").cast(pl.Decimal(14, 2))).write_parquet(
        tmp_path / "log.parquet"
    )
    assert_frame_equal(through(str(tmp_path / "log.parquet")), expected())


def test_postgresql_has_the_values_of_the_csv_file(database: str) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    casts = ", ".join(f"CAST(:{name} AS {kind})" for name, kind in COLUMNS.items())
    fill(database, [f"CREATE TABLE payments ({columns})"])
    with create_engine(database, poolclass=NullPool).begin() as connection:
        connection.execute(
            text(f"INSERT INTO payments VALUES ({casts})"), raw().reverse().to_dicts()
        )
    assert_frame_equal(through(location(database)), expected())
    assert_frame_equal(clean(read(location(database)), SCHEMA, key=KEY).frame, expected())


def test_sqlite_has_the_values_of_the_csv_file(tmp_path: Path) -> None:
    numbers = raw().cast(
        {"mcc": pl.Int64, "score": pl.Float64, "count": pl.Int64, "eur": pl.Float64}
    )
    assert_frame_equal(through(sqlite(tmp_path, numbers)), expected())


def test_sqlite_may_mix_types_in_a_column(tmp_path: Path) -> None:
    where = sqlite(tmp_path, pl.DataFrame({"id": ["p1", "p2", "p3"], "n": [None, None, None]}))
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection, connection:
        for value, name in ((1, "p1"), (2.5, "p2"), ("x", "p3")):
            connection.execute("UPDATE payments SET n = ? WHERE id = ?", (value, name))
    assert read(where)["n"].to_list() == ["1", "2.5", "x"]


def test_numbers_to_the_last_digit_and_texts_of_other_types(database: str) -> None:
    made = [
        "CREATE TYPE kind AS ENUM ('b', 'a')",
        "CREATE DOMAIN money_like AS numeric(9, 3)",
        "CREATE TABLE payments (id bigint, a numeric, b kind, c inet, d money_like, e char(3), f "
        "real)",
        "INSERT INTO payments VALUES (2, 12345678901234567890123456789.5, 'a', '10.0.0.1', 1.5, "
        "'x', 0.1)",
        "INSERT INTO payments VALUES (1, 'NaN', 'b', NULL, NULL, NULL, NULL)",
    ]
    fill(database, made)
    table = read(location(database, key="id"))
    assert table["id"].to_list() == [1, 2]
    assert [str(one) for one in table["a"]] == ["None", "12345678901234567890123456789.5"]
    assert table.select("b", "c", "e").rows() == [("b", None, None), ("a", "10.0.0.1", "x  ")]
    assert str(table["d"][1]) == "1.500"
    fill(database, ["INSERT INTO payments (id, a) VALUES (3, 'Infinity')"])
    with pytest.raises(
        BadFile, match="expected numbers of at most 38 digits in column `a`, got others"
    ):
        read(location(database))


def test_an_empty_table_has_its_columns(database: str, tmp_path: Path) -> None:
    fill(
        database,
        ["CREATE TABLE payments (id text, at timestamptz, eur numeric, card text, email text)"],
    )
    empty = sqlite(tmp_path, small(0))
    for where in (location(database), empty):
        assert through(where, SMALL).shape == (0, 5)


# --- in chunks ------------------------------------------------------------------------------------
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(
        st.sampled_from(["a", "B", "b", "é", "z'z"]) | st.none() | st.text("xy", max_size=2),
        max_size=30,
    )
)
def test_a_read_from_any_bookmark_gives_the_rest(
    keys: list[str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pl.DataFrame(
        {"id": keys, "n": range(len(keys))}, schema={"id": pl.String, "n": pl.Int64}
    )
    (tmp_path / "log.db").unlink(missing_ok=True)
    where = Location.of(sqlite(tmp_path, table, "id TEXT COLLATE NOCASE, n INTEGER"))
    monkeypatch.setattr(sql_table, "CHUNK_ROWS", 4)
    monkeypatch.setattr("shroff.collect.sqlite.CHUNK_ROWS", 3)
    chunks = list(remote_table(where).chunks(None, key="id", after=None))
    rows = [row for chunk in chunks for row in chunk.rows.rows()]
    assert sorted(rows, key=str) == sorted(table.rows(), key=str)
    done = 0
    for chunk in chunks:
        done += len(chunk.rows)
        if chunk.bookmark is not None:
            rest = remote_table(where).chunks(None, key="id", after=chunk.bookmark)
            assert [row for one in rest for row in one.rows.rows()] == rows[done:]


@pytest.mark.parametrize(
    "kind", ["text", "bigint", "numeric", "timestamptz", "double precision", "date"]
)
def test_keys_of_any_type_are_bookmarks(
    database: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    value = {
        "timestamptz": "TIMESTAMPTZ '2024-01-01 12:00:00.123456+02' + n * INTERVAL '1 second'",
        "date": "DATE '2024-01-01' + n",
    }.get(kind, f"(n * 3 - 20)::{kind}")
    fill(
        database,
        [
            f"CREATE TABLE payments (k {kind}, n int)",
            f"INSERT INTO payments SELECT {value}, n FROM generate_series(1, 20) n",
        ],
    )
    monkeypatch.setattr(sql_table, "CHUNK_ROWS", 4)
    monkeypatch.setattr("shroff.collect.postgresql._PAGE_BYTES", 16)
    where = Location.of(location(database, key="k"))
    chunks = list(remote_table(where).chunks(None, key=None, after=None))
    whole = pl.concat([chunk.rows for chunk in chunks])
    assert sorted(whole["n"]) == list(range(1, 21))
    done, marked = 0, 0
    for chunk in chunks:
        done += len(chunk.rows)
        if chunk.bookmark is not None:
            marked += 1
            rest = pl.concat(
                [
                    one.rows
                    for one in remote_table(where).chunks(None, key=None, after=chunk.bookmark)
                ]
            )
            assert rest["n"].to_list() == whole["n"][done:].to_list()
    assert marked or len(chunks) == 1


# --- broken reads ---------------------------------------------------------------------------------
KILLED = """
import os, signal, sys
from shroff import Schema
from shroff.collect import local_copies, sql_table
sql_table.CHUNK_ROWS = 1_000
import shroff.collect.sqlite
shroff.collect.sqlite.CHUNK_ROWS = 500

def count(done, total):
    print(done, flush=True)
    if done >= 3_000:
        os.kill(os.getpid(), signal.SIGKILL)

schema = Schema(id="id", time="at", amount="eur", keys=["card"], personal=["email"])
with local_copies(schema, key=b"k" * 32, count=count) as local:
    local(sys.argv[1], alone=True)
"""


def counted(where: str) -> tuple[list[int], pl.DataFrame]:
    """The counts of a read, and what it gave."""
    seen: list[int] = []
    with local_copies(SMALL, key=KEY, count=lambda done, total: seen.append(done)) as local:
        return seen, clean(read(local(where, alone=True)), SMALL, key=KEY).frame


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A table whose reader was killed after 3,000 of 10,000 rows, and the reader's home."""
    folder = tmp_path_factory.mktemp("killed")
    where = sqlite(folder, small(10_000))
    environment = os.environ | {"SHROFF_HOME": str(folder / "home")}
    ended = subprocess.run([sys.executable, "-c", KILLED, where], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    return where, folder / "home"


@pytest.fixture
def broken(killed: tuple[str, Path], home: Path) -> tuple[str, pl.DataFrame]:
    """The same, for one test."""
    copytree(killed[1], home)
    return killed[0], small(10_000)


def test_a_killed_read_goes_on_and_leaves_nothing(
    broken: tuple[str, pl.DataFrame], home: Path
) -> None:
    where, table = broken
    counts, frame = counted(where)
    assert counts[0] >= 2_997
    assert counts[-1] == 10_000
    assert_frame_equal(frame, clean(table, SMALL, key=KEY).frame)
    assert list((home / "reads").iterdir()) == []


def test_what_is_kept_of_a_broken_read_is_private(
    broken: tuple[str, pl.DataFrame], home: Path
) -> None:
    [folder] = (home / "reads").iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    files = sorted(folder.glob("*.parquet"))
    assert len(files) >= 3
    for file in files:
        assert file.stat().st_mode & 0o077 == 0
        emails = pl.read_parquet(file)["email"].struct.unnest().to_series()
        assert emails.str.contains("^[0-9a-f]{64}$").all()


def test_a_damaged_part_is_read_again(broken: tuple[str, pl.DataFrame], home: Path) -> None:
    where, table = broken
    [file] = (home / "reads").glob("*/000001.parquet")
    file.write_bytes(file.read_bytes()[:-7] + b"damaged")
    counts, frame = counted(where)
    assert 900 < counts[0] < 1_100
    assert_frame_equal(frame, clean(table, SMALL, key=KEY).frame)


def test_another_key_or_schema_begins_anew(broken: tuple[str, pl.DataFrame]) -> None:
    where, _ = broken
    for schema, key in (
        (SMALL, b"x" * 32),
        (Schema(id="id", time="at", amount="eur", personal=["email"]), KEY),
    ):
        seen: list[int] = []

        def count(done: int, total: int | None, seen: list[int] = seen) -> None:
            seen.append(done)

        with local_copies(schema, key=key, count=count) as local:
            local(where, alone=True)
        assert seen[0] == 0


def test_what_is_kept_goes_after_a_day(broken: tuple[str, pl.DataFrame], home: Path) -> None:
    where, _ = broken
    [folder] = (home / "reads").iterdir()
    os.utime(folder, (0, 0))
    assert counted(where)[0][0] == 0


def test_two_who_read_the_same_do_not_meet(tmp_path: Path) -> None:
    where = sqlite(tmp_path, small(100))
    with local_copies(SMALL, key=KEY) as one, local_copies(SMALL, key=KEY) as other:
        assert read(one(where)).equals(read(other(where)))


def test_a_server_that_goes_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_table, "CHUNK_ROWS", 10_000)
    monkeypatch.setattr("shroff.collect.postgresql._PAGE_BYTES", 100_000)
    monkeypatch.setattr("shroff.collect.postgresql._PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr("shroff.collect.postgresql._CONNECT_SECONDS", 2)
    with or_skip(stoppable_postgres(), "PostgreSQL server") as server:
        fill(
            server.url,
            [
                "CREATE TABLE payments (id text PRIMARY KEY, at timestamptz, eur numeric, card "
                "text, email text)",
                "INSERT INTO payments SELECT lpad(n::text, 9, '0'), '2024-05-04'::timestamptz + "
                "n * '1s'::interval, n, 'c', repeat('e', 300) FROM generate_series(1, 200000) n",
            ],
        )
        where = location(server.url)
        stopped: list[int] = []

        def stop(done: int, total: int | None) -> None:
            assert total == 200_000
            if done >= 30_000 and not stopped:
                stopped.append(done)
                server.stop()

        with (
            pytest.raises(
                SourceUnavailable, match=r"got: .*\. [0-9,]+ rows are kept for 24 hours: the same"
            ) as broken,
            local_copies(SMALL, key=KEY, count=stop) as local,
        ):
            local(where, alone=True)
        assert "\n" not in str(broken.value)
        with pytest.raises(
            SourceUnavailable, match="expected a database that answers, got: connection to server"
        ):
            counted(where)
        server.start()
        suspended: list[int] = []

        def suspend(done: int, total: int | None) -> None:
            if done >= 60_000 and not suspended:
                suspended.append(done)
                server.suspend()

        with (
            pytest.raises(SourceUnavailable, match=r"timeout expired\. [0-9,]+ rows are kept"),
            local_copies(SMALL, key=KEY, count=suspend) as local,
        ):
            local(where, alone=True)
        server.resume()
        counts, frame = counted(where)
        assert counts[0] >= 60_000
        assert len(frame) == 200_000


def test_a_foreign_table_is_read_as_any_other(database: str) -> None:
    """So tables of Oracle, SQL Server, MySQL … come through PostgreSQL."""
    url = make_url(database)
    schema = str(url.query["options"]).partition("=")[2]
    fill(
        database,
        [
            "CREATE TABLE there (id text, eur numeric)",
            "INSERT INTO there VALUES ('p2', 2.5), ('p1', 1.25)",
            "CREATE EXTENSION IF NOT EXISTS postgres_fdw WITH SCHEMA public",
            f"CREATE SERVER s_{schema} FOREIGN DATA WRAPPER postgres_fdw OPTIONS "
            f"(host '127.0.0.1', port '{url.port}', dbname '{url.database}')",
            f"CREATE USER MAPPING FOR CURRENT_USER SERVER s_{schema} OPTIONS (user 'shroff')",
            f"CREATE FOREIGN TABLE payments (id text, eur numeric) SERVER s_{schema} OPTIONS "
            f"(schema_name '{schema}', table_name 'there')",
        ],
    )
    assert read(location(database, key="id"))["id"].to_list() == ["p1", "p2"]
    fill(database, [f"DROP SERVER s_{schema} CASCADE"])


def test_a_query_that_takes_long_is_waited_for(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shroff.collect.postgresql._PATIENCE_SECONDS", 0.1)
    fill(database, ["CREATE VIEW payments AS SELECT 'p1' AS id FROM pg_sleep(0.6)"])
    assert read(location(database))["id"].to_list() == ["p1"]


# --- what is wrong --------------------------------------------------------------------------------
def test_no_message_has_a_password() -> None:
    where = Location.of(
        "postgresql://ada:SECRET@127.0.0.1:1/log?table=payments&password=SECRET2&sslpassword=SECRET3"
    )
    assert (
        str(where)
        == repr(where.shown).strip("'")
        == "postgresql://ada@127.0.0.1:1/log?table=payments"
    )
    assert "SECRET" not in f"{where} {where!r}"
    with pytest.raises(SourceUnavailable) as refused:
        read(where)
    assert "SECRET" not in str(refused.value)
    assert "connection to server" in str(refused.value)
    for bad in ("postgresql://ada:SECRET@[/log?table=x", "postgresql://a:b@h:SECRET/log?table=x"):
        with pytest.raises(ConfigurationError) as unread:
            Location.of(bad)
        assert "SECRET" not in str(unread.value)
    with pytest.raises(SourceUnavailable) as odd:
        read("postgresql://ada:SECRET%zz@127.0.0.1:1/log?table=payments")
    assert "SECRET" not in str(odd.value)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"table": "paymenst"}, "expected a table or a view, found none of this name."),
        ({"table": "secret.payments"}, "expected a table or a view, found none of this name."),
        (
            {"table": ""},
            r"expected its table, as in postgresql://user@host/database\?table=payments\.",
        ),
        ({"key": "nr"}, "expected a column `nr` to order the rows by, found none."),
        ({}, "expected a column `at` \\(time\\), found none: did you mean `att`\\?"),
    ],
)
def test_what_is_no_table_is_told_at_once(
    database: str, query: dict[str, str], sentence: str
) -> None:
    fill(database, ["CREATE TABLE payments (id text, att timestamptz, eur numeric)"])
    with pytest.raises((BadFile, ConfigurationError), match=sentence):
        through(location(database, **query), SMALL)


def test_a_user_or_database_that_is_refused_is_told(database: str) -> None:
    fill(database, ["CREATE TABLE payments (id text)"])
    nobody = location(database).replace("shroff@", "nobody@")
    with pytest.raises(SourceUnavailable, match='FATAL:  role "nobody" does not exist'):
        read(nobody)
    with pytest.raises(SourceUnavailable, match='database "none" does not exist'):
        read(location(database).replace("/postgres?", "/none?"))


def test_card_numbers_in_the_open_are_not_stored(tmp_path: Path, home: Path) -> None:
    numbers = small(100).with_columns(card=pl.lit("4111111111111111"))
    with pytest.raises(BadFile, match="look like card numbers"):
        counted(sqlite(tmp_path, numbers))
    assert not list((home / "reads").rglob("*.parquet"))


def test_sqlite_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"SECRET" * 1_000)
    for where, sentence in (
        (
            f"sqlite:///{tmp_path}/none.db?table=payments",
            "expected a SQLite file, found no such file.",
        ),
        (
            f"sqlite:///{tmp_path}/bad.db?table=payments",
            "expected a SQLite database that can be read, got SQLITE_NOTADB.",
        ),
        ("sqlite://host/none.db?table=payments", "expected sqlite:///file.db"),
    ):
        with pytest.raises((BadFile, ConfigurationError), match=re.escape(sentence)):
            read(where)


def test_other_urls_are_told() -> None:
    with pytest.raises(ConfigurationError, match="got `postgres:`: did you mean `postgresql`"):
        Location.of("postgres://ada:SECRET@h/log")
    with pytest.raises(
        ConfigurationError,
        match=r"got `ftp:`; known are postgresql, sqlite, delta, azure-tables, iso20022, iso8583\.",
    ):
        Location.of("ftp://h/log.csv")
    assert Location.of("C:log.csv").scheme is None


# --- Delta ----------------------------------------------------------------------------------------
def delta(folder: Path, table: pl.DataFrame, mode: str = "append") -> str:
    table.write_delta(folder / "delta", mode=mode)  # type: ignore[call-overload]  # one of its modes
    return f"delta:{folder}/delta"


def test_a_delta_table_has_the_values_of_the_csv_file(tmp_path: Path) -> None:
    typed = raw().with_columns(
        pl.col("at").str.to_datetime(time_zone="UTC"),
        pl.col("day").str.to_date(),
        pl.col("flag") == "true",
        pl.col("mcc", "count").cast(pl.Int64),
        pl.col("score").cast(pl.Float64),
        pl.col("eur").cast(pl.Decimal(14, 2)),
        pl.col("card_id").cast(pl.Decimal(38, 0)),
    )
    assert_frame_equal(through(delta(tmp_path, typed)), expected())


def test_a_delta_table_is_read_in_the_version_that_the_read_began_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = delta(tmp_path, small(100))
    delta(tmp_path, small(200)[100:])
    monkeypatch.setattr("shroff.collect.delta_table.CHUNK_ROWS", 30)
    monkeypatch.setattr("shroff.collect.slices.SLICE_ROWS", 50)
    chunks = list(remote_table(Location.of(where)).chunks(["id"], key=None, after=None))
    whole = pl.concat([chunk.rows for chunk in chunks])
    assert sorted(whole["id"]) == small(200)["id"].to_list()
    delta(tmp_path, small(7), mode="overwrite")
    done = 0
    for chunk in chunks:
        done += len(chunk.rows)
        rest = [
            one.rows
            for one in remote_table(Location.of(where)).chunks(
                ["id"], key=None, after=chunk.bookmark
            )
        ]
        assert pl.concat(rest).equals(whole[done:])
    assert len(read(where)) == 7
    assert len(read(f"{where}?version=0")) == 100
    assert len(through(f"{where}?version=1", SMALL)) == 200


def test_delta_tables_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    where = delta(tmp_path, small(3))
    for asked, sentence in (
        (f"delta:{tmp_path}/none", "expected a Delta table, found none."),
        (
            f"{where}?version=7",
            "expected version 7 of a Delta table, found none that can be read: was it vacuumed?",
        ),
        (f"{where}?version={10**17}", "expected version 100000000000000000 of a Delta table"),
        *(
            (f"{where}?version={version}", "expected delta:/folder, with ?version=NUMBER if not")
            for version in (10**23, "9" * 5_000, "-1", "٣", "")
        ),
        (f"{where}?version=x", "expected delta:/folder, with ?version=NUMBER if not the newest."),
    ):
        with pytest.raises((BadFile, ConfigurationError), match=re.escape(sentence)):
            through(asked, SMALL)


# --- Azure Table storage --------------------------------------------------------------------------
@pytest.fixture
def azure(azure_tables: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """The location of an empty table in Azure's emulator, and the SDK's client for it."""
    name = f"t{uuid4().hex}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure_tables)
    with TableServiceClient.from_connection_string(azure_tables) as service:
        yield f"azure-tables://devstoreaccount1/{name}", service.create_table(name)


def entities(client: Any, rows: Iterable[dict[str, Any]]) -> None:
    """Put rows into a table, each under the PartitionKey that it has, with a blank RowKey unless it
    has one.
    """
    for row in rows:
        client.create_entity(
            {"RowKey": ""} | {name: value for name, value in row.items() if value is not None}
        )


def test_azure_has_the_values_of_the_csv_file(azure: tuple[str, Any]) -> None:
    where, client = azure
    typed = raw().with_columns(
        pl.col("at").str.to_datetime(time_zone="UTC"),
        pl.col("flag") == "true",
        pl.col("fraud") == "1",
        pl.col("mcc").cast(pl.Int64),
        pl.col("score", "eur").cast(pl.Float64),
    )
    rows = [row | {"PartitionKey": row["id"]} for row in typed.to_dicts()]
    for row in rows:
        row["count"] = (
            None if row["count"] is None else EntityProperty(int(row["count"]), EdmType.INT64)
        )
        row["host"] = None if row["host"] is None else UUID(row["host"])
    entities(client, rows)
    assert_frame_equal(through(where), expected())
    assert read(where)["Timestamp"].dtype == pl.Datetime("us", "UTC")


def test_azure_is_read_page_by_page_whatever_the_row_keys(
    azure: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    where, client = azure
    # a transaction holds one partition: blank row keys are in a partition each
    entities(client, ({"PartitionKey": f"p{row:04}", "n": row} for row in range(1_050)))
    for first in range(0, 1_100, 100):
        client.submit_transaction(
            (
                "create",
                {
                    "PartitionKey": "z",
                    "RowKey": f"{row:05}",
                    "n": row,
                    "text": f"{row}" if row % 2 else row,
                },
            )
            for row in range(first, first + 100)
        )
    monkeypatch.setattr("shroff.collect.azure_table.CHUNK_ROWS", 1)
    chunks = list(remote_table(Location.of(where)).chunks(None, key=None, after=None))
    rows = [
        row for chunk in chunks for row in chunk.rows.select("PartitionKey", "RowKey", "n").rows()
    ]
    assert rows == [(f"p{row:04}", "", row) for row in range(1_050)] + [
        ("z", f"{row:05}", row) for row in range(1_100)
    ]
    assert len(chunks) >= 3
    done = 0
    for chunk in chunks[:-1]:
        done += len(chunk.rows)
        bookmark = json.loads(json.dumps(chunk.bookmark))
        rest = [
            one.rows
            for one in remote_table(Location.of(where)).chunks(["n"], key=None, after=bookmark)
        ]
        assert pl.concat(rest)["n"].to_list() == [row[2] for row in rows[done:]]
    assert set(read(where)["text"].drop_nulls()) == {str(row) for row in range(1_100)}


def test_azure_tables_that_cannot_be_read_are_told(
    azure: tuple[str, Any], azure_tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, _ = azure
    wrong = re.sub("AccountKey=[^;]*", "AccountKey=U0VDUkVU", azure_tables)
    for connection, asked, sentence in (
        (
            azure_tables,
            "azure-tables://devstoreaccount1/none",
            "expected a table, found none of this name.",
        ),
        (azure_tables, "azure-tables://bank/log", "expected the secret of its account"),
        (azure_tables, "azure-tables://bank", "expected azure-tables://account/table."),
        (wrong, where, "expected a secret that may read the table, got one that is refused."),
        (
            "SECRET",
            where,
            "expected a connection string in AZURE_STORAGE_CONNECTION_STRING, got another text.",
        ),
        (
            "",
            where,
            "expected the secret of the storage account in AZURE_STORAGE_CONNECTION_STRING",
        ),
        (
            re.sub("127.0.0.1:[0-9]*", "127.0.0.1:1", azure_tables),
            where,
            "expected a service that answers, got",
        ),
    ):
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
        with pytest.raises(
            (BadFile, ConfigurationError, SourceUnavailable), match=re.escape(sentence)
        ) as refused:
            read(asked)
        assert "SECRET" not in str(refused.value)
        assert "U0VDUkVU" not in str(refused.value)


def test_both_tables_of_a_join_come_from_azure(
    azure_tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure_tables)
    project = load_project(Path(__file__).parents[2] / "examples" / "two_tables")
    write_two_tables(simulate(300, seed=1), tmp_path, seed=1)
    where: dict[str, str] = {}
    with TableServiceClient.from_connection_string(azure_tables) as service:
        for name in ("facts", "statistics"):
            client = service.create_table(f"{name}{uuid4().hex}")
            where[name] = f"azure-tables://devstoreaccount1/{client.table_name}"
            entities(client, read(tmp_path / f"{name}.csv").drop("Timestamp").to_dicts())
    files = (tmp_path / "facts.csv", tmp_path / "statistics.csv")
    of_files = collect_table(project, files[0], join=files[1], key=KEY, max_bad=0.05)
    of_azure = collect_table(
        project, where["facts"], join=where["statistics"], key=KEY, max_bad=0.05
    )
    by = project.schema.id
    assert_frame_equal(of_azure.frame.sort(by), of_files.frame.sort(by))
    assert sum(of_azure.dropped.values()) == sum(of_files.dropped.values()) > 0
