"""What a ledger in SQLite does when its files are removed or replaced while it is in use."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Connection

from patience import PATIENCE, until
from shroff.errors import LedgerUnavailable
from shroff.ledger import Entry, Ledger, Outcome, committer, sqlite
from shroff.ledger.statements import commit

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]


def log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def remove_log(file: Path) -> None:
    log_of(file).unlink()


def replace_log(file: Path) -> None:
    copy = file.with_name("copy-wal")
    shutil.copy(log_of(file), copy)
    copy.rename(log_of(file))


def remove_database(file: Path) -> None:
    file.unlink()


def replace_database(file: Path) -> None:
    copy = file.with_name("copy.db")
    shutil.copy(file, copy)
    copy.rename(file)


def remove_all(file: Path) -> None:
    for path in (file, log_of(file)):
        path.unlink()


def calm(file: Path) -> None:
    """Let the folder look as if no file in it had been made, renamed or removed for long."""
    os.utime(file.parent, (0, 0))


@pytest.fixture(params=[False, True], ids=["folder just changed", "folder unchanged for long"])
def calmed(request: pytest.FixtureRequest, file: Path) -> Callable[[], None]:
    return (lambda: calm(file)) if request.param else (lambda: None)


def answered_under_load(
    ledger: Ledger, entry: MakeEntry, calmed: Callable[[], None], fault: Callable[[], None]
) -> list[int]:
    """The numbers of the entries that were answered as durable while a fault came in between, until
    all are refused.
    """
    answered: list[int] = []
    refused: list[str] = []

    def load() -> None:
        number = 0
        while not refused:
            number += 1
            try:
                ledger.write_now(entry(number))
            except LedgerUnavailable as error:
                refused.append(str(error))
            else:
                answered.append(number)

    thread = Thread(target=load)
    thread.start()
    until(lambda: len(answered) >= 100)
    calmed()
    until(lambda: len(answered) >= 200)
    fault()
    thread.join(PATIENCE)
    assert refused, "it went on as if nothing had happened"
    return answered


@pytest.mark.parametrize("fault", [remove_log, replace_log])
def test_a_lost_log_is_noticed_and_nothing_that_was_answered_is_lost(
    file: Path,
    tmp_path: Path,
    entry: MakeEntry,
    calmed: Callable[[], None],
    fault: Callable[[Path], None],
) -> None:
    with Ledger(f"sqlite:///{file}") as ledger:
        answered = answered_under_load(ledger, entry, calmed, lambda: fault(file))
        told = ledger.failure
        assert told is not None
        assert "write-ahead log" in told
        assert "restart the service" in told
        # from then on, however often it is tried; the log alone would not be the one that was lost
        for number in (100_001, 100_002):
            with pytest.raises(LedgerUnavailable, match=r"write-ahead log|being undone"):
                ledger.write_now(entry(number))
        # as the files are when the process is killed now
        (tmp_path / "killed").mkdir()
        shutil.copy(file, tmp_path / "killed" / "ledger.db")
    left = Ledger(f"sqlite:///{tmp_path}/killed/ledger.db")
    assert {stored.time for stored in left.entries()} >= set(answered)
    with ledger:
        ledger.write_now(entry(200_000))
    assert {stored.time for stored in ledger.entries()} >= {*answered, 200_000}
    assert ledger.verify().seq >= len(answered)


@pytest.mark.parametrize("fault", [remove_database, replace_database, remove_all])
def test_a_lost_database_is_noticed(
    file: Path, entry: MakeEntry, calmed: Callable[[], None], fault: Callable[[Path], None]
) -> None:
    with Ledger(f"sqlite:///{file}") as ledger:
        answered_under_load(ledger, entry, calmed, lambda: fault(file))
        for number in (100_001, 100_002):
            with pytest.raises(LedgerUnavailable, match=r"moved or replaced|being undone"):
                ledger.write_now(entry(number))
        assert "moved or replaced" in str(ledger.failure)


@pytest.mark.parametrize("length", [0, 4_096, 65_536])
@pytest.mark.parametrize("idle", [True, False])
def test_a_database_that_is_cut_off_is_noticed(
    file: Path,
    entry: MakeEntry,
    written: Write,
    monkeypatch: pytest.MonkeyPatch,
    length: int,
    idle: bool,
) -> None:
    """As by `cp old.db ledger.db`: it is the same file, in a folder that did not change."""
    monkeypatch.setattr(sqlite, "_LOOK_SECONDS", 0.0)
    with Ledger(f"sqlite:///{file}") as ledger:
        # until it is in the file, and not only in its log
        for number in range(2_000):
            ledger.append(entry(number), lambda outcome: None)
        written(ledger, [entry(2_000)])
        ledger.head()
        with closing(sqlite3.connect(file)) as other:
            other.execute("PRAGMA wal_checkpoint(FULL)")
        written(ledger, [entry(2_001)])
        assert file.stat().st_size > 65_536
        calm(file)
        os.truncate(file, length)
        if not idle:
            assert [type(one) for one in written(ledger, [entry(2_002)])] == [LedgerUnavailable]
        until(lambda: "cut off or overwritten" in str(ledger.failure))
        with pytest.raises(LedgerUnavailable, match=r"cut off or overwritten|being undone"):
            ledger.write_now(entry(2_003))


@pytest.mark.parametrize("left", [None, b""])
def test_a_ledger_that_was_there_is_not_made_anew(
    file: Path, entry: MakeEntry, written: Write, left: bytes | None
) -> None:
    away = file.with_name("away.db")
    with Ledger(f"sqlite:///{file}") as ledger:
        assert written(ledger, [entry(0)]) == [None]
    file.rename(away)
    if left is not None:
        file.write_bytes(left)
    with pytest.raises(LedgerUnavailable, match=r"was there and is gone.* or remove .*\.made"):
        Ledger(f"sqlite:///{file}").open()
    assert (file.read_bytes() if file.exists() else None) == left
    away.rename(file)
    with Ledger(f"sqlite:///{file}") as back:
        assert back.verify().seq == 1
    file.unlink()
    file.with_name(f"{file.name}.made").unlink()
    with Ledger(f"sqlite:///{file}") as anew:
        assert anew.verify().seq == 0


@pytest.mark.parametrize("length", [0, 10_000])
@pytest.mark.parametrize("idle", [True, False])
def test_a_log_that_is_cut_off_is_noticed_before_more_is_written_behind_the_gap(
    file: Path, entry: MakeEntry, written: Write, length: int, idle: bool
) -> None:
    log = file.with_name(f"{file.name}-wal")
    with Ledger(f"sqlite:///{file}") as ledger:
        for number in range(20):
            assert written(ledger, [entry(number)]) == [None]
        os.truncate(log, length)
        if not idle:
            assert [type(one) for one in written(ledger, [entry(20)])] == [LedgerUnavailable]
        until(lambda: "write-ahead log" in str(ledger.failure))
        assert "cut off while in use" in str(ledger.failure)
        with pytest.raises(LedgerUnavailable, match=r"cut off while in use|being undone"):
            ledger.write_now(entry(21))
        assert not log.exists() or log.stat().st_size == length
    with Ledger(f"sqlite:///{file}") as left:
        # what was before the cut, and nothing that is no record
        assert left.verify().seq < 20
        assert written(left, [entry(30)]) == [None]


def test_a_log_that_another_program_empties_into_the_file_is_no_loss(
    file: Path, entry: MakeEntry, written: Write
) -> None:
    log = file.with_name(f"{file.name}-wal")
    with closing(sqlite3.connect(file)) as other, Ledger(f"sqlite:///{file}") as ledger:
        for number in range(10):
            assert written(ledger, [entry(number)]) == [None]
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert written(ledger, [entry(10)]) == [None]
        assert log.stat().st_size > 0
        assert ledger.failure is None
        assert ledger.verify().seq == 11


def test_a_vacuum_is_no_loss(
    file: Path, entry: MakeEntry, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_LOOK_SECONDS", 0.0)
    with closing(sqlite3.connect(file)) as other, Ledger(f"sqlite:///{file}") as ledger:
        written(ledger, [entry(0)])
        other.executescript(
            "CREATE TABLE more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            "LIMIT 20000) SELECT i FROM n; PRAGMA wal_checkpoint(FULL);"
        )
        written(ledger, [entry(1)])
        before = file.stat().st_size
        other.executescript("DROP TABLE more; VACUUM; PRAGMA wal_checkpoint(FULL);")
        assert file.stat().st_size < before
        assert written(ledger, [entry(2)]) == [None]
        assert ledger.failure is None


@pytest.mark.parametrize(
    "fault", [remove_log, replace_log, remove_database, replace_database, remove_all]
)
def test_it_is_noticed_where_nothing_is_written(
    file: Path,
    entry: MakeEntry,
    written: Write,
    calmed: Callable[[], None],
    fault: Callable[[Path], None],
) -> None:
    with Ledger(f"sqlite:///{file}") as ledger:
        written(ledger, [entry(0)])
        calmed()
        written(ledger, [entry(1)])
        assert ledger.failure is None
        fault(file)
        until(lambda: ledger.failure is not None)


@pytest.mark.parametrize(
    "fault", [remove_log, replace_log, remove_database, replace_database, remove_all]
)
def test_nothing_is_answered_whose_file_went_during_its_commit(
    file: Path,
    entry: MakeEntry,
    written: Write,
    calmed: Callable[[], None],
    fault: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def last(connection: Connection) -> None:
        commit(connection)
        fault(file)

    with Ledger(f"sqlite:///{file}") as ledger:
        written(ledger, [entry(0)])
        calmed()
        written(ledger, [entry(1)])
        monkeypatch.setattr(committer, "commit", last)
        assert [type(outcome) for outcome in written(ledger, [entry(2)])] == [LedgerUnavailable]


def test_a_file_that_is_put_back_after_a_commit_brings_what_was_refused(
    file: Path, entry: MakeEntry, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, told = file.with_name("away.db"), list[Outcome]()

    def last(connection: Connection) -> None:
        commit(connection)
        monkeypatch.setattr(committer, "commit", commit)
        file.rename(away)

    with Ledger(f"sqlite:///{file}") as ledger:
        written(ledger, [entry(0)])
        monkeypatch.setattr(committer, "commit", last)
        ledger.append(entry(1), told.append)
        until(lambda: told)
        away.rename(file)
        until(lambda: len(told) == 2)
        assert [type(outcome) for outcome in told] == [LedgerUnavailable, type(None)]
        until(lambda: ledger.failure is None)
        assert written(ledger, [entry(2)]) == [None]
    assert [stored.time for stored in ledger.entries()] == [0, 1, 2]
    assert ledger.verify().seq == 3
