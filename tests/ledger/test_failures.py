"""What a ledger does when the disk, the database or the process fails: nothing lost, nothing half
done.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import sleep

import msgspec
import pytest
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import OperationalError

from patience import PATIENCE, until
from servers import postgres_schema
from shroff.errors import LedgerUnavailable
from shroff.ledger import Entry, Ledger, Outcome, committer
from shroff.ledger.database import HEAD, RECORDS
from shroff.ledger.record import link
from shroff.ledger.statements import commit

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]
Hold = Callable[[Ledger], Callable[[], None]]

DEAD = OperationalError("COMMIT", None, sqlite3.OperationalError("the line is dead: pay-1"))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program that holds SQLite's write lock."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def broken_commit(*, done: bool, error: Exception = DEAD) -> Iterator[None]:
    """The next commit fails for the caller: before it is done, or after, when only its answer is
    lost.
    """

    armed = [True]

    def fail(connection: Connection) -> None:
        if done or not armed:
            commit(connection)
        if armed:
            armed.clear()
            raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committer, "commit", fail)
        yield
    assert not armed


@pytest.fixture
def local(file: Path) -> Iterator[Ledger]:
    """An open ledger in the SQLite file `file`."""
    with Ledger(f"sqlite:///{file}") as opened:
        yield opened


def kinds(outcomes: Sequence[Outcome]) -> set[type]:
    return {type(outcome) for outcome in outcomes}


def wait_until(reached: Callable[[], bool]) -> None:
    """Let the writer's thread get there."""
    until(reached, said=lambda: "the writer never got there")


def settled(ledger: Ledger, entry: Entry) -> Outcome:
    """The outcome of an entry that is sent again until it is let in."""

    async def main() -> Outcome:
        for _ in range(1_000):
            try:
                await ledger.write(entry)
            except LedgerUnavailable as error:
                if not any(passing in str(error) for passing in ("being undone", "already wait")):
                    return error
                await asyncio.sleep(0.001)
            else:
                return None
        raise AssertionError("the ledger never opened again")

    return asyncio.run(main())


def test_a_locked_database_refuses_the_group_and_all_behind_it(
    file: Path, local: Ledger, entry: MakeEntry, written: Write, caplog: pytest.LogCaptureFixture
) -> None:
    assert written(local, [entry(0)]) == [None]
    with locked(file):
        outcomes = written(local, [entry(number) for number in range(1, 50)])
    assert kinds(outcomes) == {LedgerUnavailable}
    assert all("SQLITE_BUSY" in str(outcome) for outcome in outcomes)
    assert settled(local, entry(50)) is None
    assert [record.__dict__["event"] for record in caplog.records] == [
        "ledger_refuses",
        "ledger_takes_again",
    ]
    assert "SQLITE_BUSY: another program" in caplog.text
    assert "until it is done. Payments are refused meanwhile." in caplog.text
    assert [stored.time for stored in local.entries()] == [0, 50]
    assert local.verify().seq == 2


def test_a_failed_commit_refuses_its_group_and_all_behind_it(
    url: str, entry: MakeEntry, held: Hold
) -> None:
    told: list[Outcome] = []
    with Ledger(url, max_group=2) as ledger:
        release = held(ledger)
        for number in range(1, 6):
            ledger.append(entry(number), told.append)
        with broken_commit(done=False):
            release()
            wait_until(lambda: len(told) == 5)
        assert settled(ledger, entry(6)) is None
    assert kinds(told) == {LedgerUnavailable}
    assert "pay-1" not in str(told[0])
    assert [stored.time for stored in ledger.entries()] == [0, 6]
    assert ledger.verify().seq == 2


def test_a_commit_whose_answer_is_lost_counts(
    ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    with broken_commit(done=True):
        assert written(ledger, [entry(1)]) == [None]
    assert written(ledger, [entry(2)]) == [None]
    assert [stored.time for stored in ledger.entries()] == [1, 2]
    assert ledger.verify().seq == 2


def test_nothing_is_let_in_before_all_have_undone(
    ledger: Ledger, entry: MakeEntry, held: Hold
) -> None:
    undone: list[int] = []
    kept_after: list[int] = []

    async def payment(number: int) -> None:
        with pytest.raises(LedgerUnavailable, match="cannot write the ledger: the"):
            await ledger.write(entry(number))
        undone.append(number)

    def told(undone_before: int, outcome: Outcome) -> None:
        if outcome is None:
            kept_after.append(undone_before)

    def attempt(number: int) -> None:
        with suppress(LedgerUnavailable):
            ledger.append(entry(number), partial(told, len(undone)))

    async def eager(number: int) -> None:
        # tries at every turn of the loop: an entry let in too early was computed with what is not
        # yet undone
        while not kept_after:
            attempt(number := number + 1)
            await asyncio.sleep(0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def wake_and_attempt(*arguments: object) -> asyncio.Handle:
            handle = wake(*arguments)  # type: ignore[arg-type]
            # right behind the news, ahead of the coroutines that the news wakes
            wake(late_attempt)
            return handle

        def late_attempt() -> None:
            sleep(0.02)  # lets the writer's thread finish its part of the undoing
            attempt(1_000)

        release = held(ledger)
        payments = [asyncio.create_task(payment(number)) for number in range(1, 201)]
        await asyncio.sleep(0)
        loop.call_soon_threadsafe = wake_and_attempt  # type: ignore[method-assign, assignment]
        with broken_commit(done=False):
            release()
            await asyncio.gather(eager(1_000_000), *payments)

    asyncio.run(main())
    ledger.close()
    assert undone == list(range(1, 201))
    assert set(kept_after) == {200}


def test_a_file_moved_away_is_refused_until_it_is_back(
    file: Path, local: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(local, [entry(0)])
    away = file.with_suffix(".away")
    file.rename(away)
    assert "was moved or replaced" in str(settled(local, entry(1)))
    assert not file.exists()
    away.rename(file)
    assert settled(local, entry(2)) is None
    assert [stored.time for stored in local.entries()] == [0, 2]


def test_a_database_set_back_is_refused(
    url: str, ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(ledger, [entry(0), entry(1)])
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM shroff_ledger WHERE seq = 2")
        first = "(SELECT chain FROM shroff_ledger WHERE seq = 1)"
        connection.exec_driver_sql(f"UPDATE shroff_ledger_head SET seq = 1, chain = {first}")
    engine.dispose()
    assert "record 2 was acknowledged and is gone" in str(settled(ledger, entry(2)))
    ledger.close()
    ledger.open()
    assert written(ledger, [entry(3)]) == [None]
    assert ledger.verify().seq == 2


def test_a_foreign_record_in_the_way_is_refused(
    url: str, ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(ledger, [entry(0)])
    engine = create_engine(url)
    with engine.begin() as connection:
        columns = "2, 'label', payment_id, arrived, time, digest, body, chain"
        connection.exec_driver_sql(f"INSERT INTO shroff_ledger SELECT {columns} FROM shroff_ledger")
    engine.dispose()
    assert "another program wrote into the ledger's tables" in str(settled(ledger, entry(1)))


def test_what_another_program_wrote_as_it_should_be_is_gone_on_from(
    url: str, ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(ledger, [entry(0)])
    (first,) = ledger.entries()
    other = entry(1)
    chain = link(first.chain, 2, other)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            RECORDS.insert(), {**msgspec.structs.asdict(other), "seq": 2, "chain": chain}
        )
        connection.execute(HEAD.update().values(seq=2, chain=chain))
    engine.dispose()
    if url.startswith("sqlite"):
        # there is one writer, whose features lack what another wrote
        for number in (2, 3):
            assert "another process wrote record 2" in str(settled(ledger, entry(number)))
        ledger.close()
        ledger.open()
    assert written(ledger, [entry(2), entry(3)]) == [None, None]
    assert [stored.time for stored in ledger.entries()] == [0, 1, 2, 3]
    assert ledger.verify().seq == 4


def test_a_full_queue_refuses_at_once(url: str, entry: MakeEntry, held: Hold) -> None:
    told: list[Outcome] = []
    with Ledger(url, max_queue=3) as ledger:
        release = held(ledger)
        for number in range(1, 4):
            ledger.append(entry(number), told.append)
        with pytest.raises(LedgerUnavailable, match="3 entries already wait for the disk"):
            ledger.append(entry(4), told.append)
        release()
        assert settled(ledger, entry(5)) is None
    assert told == [None] * 3
    assert [stored.time for stored in ledger.entries()] == [0, 1, 2, 3, 5]


def test_a_ledger_that_is_not_open_refuses(url: str, entry: MakeEntry) -> None:
    ledger = Ledger(url)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="not open for writing"):
            ledger.append(entry(1), lambda outcome: None)
        with pytest.raises(LedgerUnavailable, match="not open for writing"):
            asyncio.run(ledger.write(entry(1)))
        ledger.open()
        ledger.close()


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(LedgerUnavailable, match="cannot write the ledger"):
        Ledger(f"sqlite:///{blocked}/ledger.db").open()
    missing = Ledger(f"sqlite:///{tmp_path}/missing.db")
    readings: list[Callable[[], object]] = [
        lambda: missing.find("pay-1"),
        missing.verify,
        lambda: next(missing.entries()),
    ]
    for read in readings:
        with pytest.raises(LedgerUnavailable, match=r"open the ledger .*missing\.db: there is no"):
            read()
    assert not (tmp_path / "missing.db").exists()


def test_a_file_that_is_no_database(file: Path) -> None:
    file.write_bytes(b"not a database " * 1_000)
    ledger = Ledger(f"sqlite:///{file}")
    with pytest.raises(LedgerUnavailable, match="cannot write the ledger"):
        ledger.open()
    file.unlink()
    with ledger:
        assert ledger.verify().seq == 0


def test_closing_commits_what_waits(ledger: Ledger, entry: MakeEntry, held: Hold) -> None:
    release = held(ledger)
    told: list[Outcome] = []
    for number in range(1, 101):
        ledger.append(entry(number), told.append)
    release()
    ledger.close()
    assert told == [None] * 100
    assert ledger.verify().seq == 101


def test_a_cancelled_coroutine_does_not_take_its_entry_back(
    ledger: Ledger, entry: MakeEntry, held: Hold
) -> None:
    async def main() -> None:
        release = held(ledger)
        first, second = (asyncio.create_task(ledger.write(entry(number))) for number in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        release()
        await second
        assert first.cancelled()

    asyncio.run(main())
    assert [stored.time for stored in ledger.entries()] == [0, 1, 2]


def test_a_loop_that_is_gone_does_not_stop_the_others(
    ledger: Ledger, entry: MakeEntry, held: Hold, written: Write
) -> None:
    release = held(ledger)

    async def leave() -> None:
        task = asyncio.create_task(ledger.write(entry(1)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    release()
    assert written(ledger, [entry(2)]) == [None]
    assert ledger.verify().seq == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_raises_leaves_nobody_waiting(
    ledger: Ledger, entry: MakeEntry, held: Hold
) -> None:
    def fault(_: Outcome) -> None:
        raise ValueError("a mistake of the caller")

    async def main() -> None:
        release = held(ledger)
        ledger.append(entry(1), fault)
        task = asyncio.create_task(ledger.write(entry(2)))
        await asyncio.sleep(0)
        release()
        await asyncio.wait_for(task, PATIENCE)

    asyncio.run(main())
    assert kinds([settled(ledger, entry(3))]) == {LedgerUnavailable}
    ledger.close()
    ledger.open()
    assert settled(ledger, entry(3)) is None
    assert ledger.verify().seq == 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_fault_leaves_nobody_waiting(
    ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    with broken_commit(done=False, error=ValueError("a mistake of ours")):
        (outcome,) = written(ledger, [entry(1)])
    assert "the ledger's writer has stopped" in str(outcome)
    ledger.close()
    ledger.open()
    assert settled(ledger, entry(2)) is None
    assert [stored.time for stored in ledger.entries()] == [2]


def test_a_look_up_over_a_lost_connection_is_refused_and_the_next_one_is_answered(
    postgres_server: str, entry: MakeEntry, written: Write
) -> None:
    with postgres_schema(postgres_server) as schema:
        url = (
            make_url(schema)
            .update_query_dict({"application_name": "lost"})
            .render_as_string(hide_password=False)
        )
        with Ledger(url) as ledger:
            written(ledger, [entry(0)])
            kept = ledger.find("pay-0")
            other = create_engine(postgres_server)
            with other.connect() as connection:
                lost = (
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE "
                    "application_name = 'lost'"
                )
                assert len(connection.exec_driver_sql(lost).all()) >= 2
            other.dispose()
            # closing what is lost raises too, unless it is done without a word to the server
            with pytest.raises(LedgerUnavailable, match="cannot look up a payment"):
                ledger.find("pay-0")
            assert ledger.find("pay-0") == kept is not None
            assert (written(ledger, [entry(1)]) + written(ledger, [entry(2)]))[1] is None
