"""While the ledger's database is away: a real server is stopped and started, and nothing that was
answered is lost.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Any

import pytest
from sqlalchemy import make_url

from patience import until
from servers import Postgres, or_skip, postgres_schema, stoppable_postgres
from shroff.errors import ConfigurationError, LedgerAway, LedgerUnavailable
from shroff.ledger import Entry, Keyring, Ledger, Outcome, failover, other_writers, postgres
from shroff.ledger.database import Head
from shroff.ledger.keyring import Period
from shroff.ledger.puncturable import PuncturableKeys
from shroff.ledger.spool import Spool
from shroff.ledger.statements import Cursor, cursor, hang_up

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]

WRITE_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from shroff.ledger import Entry, Ledger

async def main():
    ledger = Ledger(sys.argv[1], spool=Path(sys.argv[2]))
    ledger.open()
    print("open", flush=True)
    sys.stdin.readline()
    async def writer(name):
        for number in range(1_000_000):
            payment_id = f"{name}-{number}"
            await ledger.write(Entry("payment", payment_id, number, number, bytes(32), b"x" * 300))
            sys.stdout.write(payment_id + "\\n")
            sys.stdout.flush()
    await asyncio.gather(*(writer(name) for name in range(22)))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    # the machine goes on when the server is stopped, so nothing is lost without a sync
    with or_skip(stoppable_postgres("fsync=off"), "PostgreSQL server") as started:
        yield started


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(other_writers, "_LOOK_SECONDS", 0.05)


@pytest.fixture
def url(server: Postgres) -> Iterator[str]:
    with postgres_schema(server.url) as schema:
        yield schema


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def open_ledger(url: str, spool: Path) -> Iterator[Callable[..., Ledger]]:
    """Opens ledgers over one database, and closes them."""
    opened: list[Ledger] = []

    def make(folder: Path = spool, **options: Any) -> Ledger:
        ledger = Ledger(url, spool=folder, **options)
        ledger.open()
        opened.append(ledger)
        return ledger

    yield make
    for ledger in opened:
        ledger.close()


def back(ledger: Ledger) -> None:
    """Wait until the ledger's database is there again and the spool empty."""
    until(lambda: ledger.spooled is None)


def times(ledger: Ledger) -> list[int]:
    assert ledger.verify().seq == len(list(ledger.entries()))
    return [stored.time for stored in ledger.entries()]


def test_a_server_stopped_under_load_loses_nothing_and_no_order(
    server: Postgres, open_ledger: Callable[..., Ledger], entry: MakeEntry
) -> None:
    ledger, stop = open_ledger(), Event()
    told: list[tuple[int, Outcome]] = []
    number = 0

    def send() -> None:
        nonlocal number
        while not stop.is_set():
            for _ in range(20):
                ledger.append(
                    entry(number), partial(lambda at, outcome: told.append((at, outcome)), number)
                )
                number += 1
            sleep(0.005)

    def more() -> None:
        before = len(told)
        until(lambda: len(told) > before + 1_000)

    sender = Thread(target=send)
    sender.start()
    try:
        for mode in ("immediate", "fast"):
            more()
            server.stop(mode)
            try:
                until(lambda: ledger.spooled is not None)
                more()
            finally:
                server.start()
            back(ledger)
        more()
    finally:
        stop.set()
        sender.join()
    ledger.close()
    assert told == [(at, None) for at in range(number)]
    assert times(ledger) == list(range(number))


def test_kill_9_while_spooling_loses_nothing_acknowledged(
    server: Postgres, url: str, spool: Path, open_ledger: Callable[..., Ledger]
) -> None:
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, url, str(spool)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        server.stop()
        try:
            process.stdin.write("go\n")
            process.stdin.flush()
            acknowledged = [process.stdout.readline().strip() for _ in range(1_000)]
            process.send_signal(signal.SIGKILL)
            # the last line may have been cut by the kill
            acknowledged += process.stdout.read().split("\n")[:-1]
        finally:
            server.start()
    (file,) = spool.iterdir()
    assert file.stat().st_size > 300 * len(acknowledged)
    ledger = open_ledger()
    found = [stored.payment_id for stored in ledger.entries()]
    assert set(acknowledged) <= set(found)
    assert ledger.verify().seq == len(found) == len(set(found))
    assert file.stat().st_size == 0


def test_a_spool_that_is_full_refuses_until_the_server_is_back(
    server: Postgres, open_ledger: Callable[..., Ledger], entry: MakeEntry, written: Write
) -> None:
    ledger = open_ledger(spool_limit=1_000)
    server.stop()
    try:
        first = [written(ledger, [entry(number)])[0] for number in range(10)]
        kept = [number for number, outcome in enumerate(first) if outcome is None]
        assert kept == list(range(len(kept)))
        assert 0 < len(kept) < 10
        assert all("the spool is full" in str(outcome) for outcome in first[len(kept) :])
        assert ledger.spooled is not None
        assert ledger.spooled.entries == len(kept)
        assert 0 < ledger.spooled.bytes <= ledger.spooled.limit == 1_000
        # it was refused, so nobody knows it
        assert ledger.find("pay-9", presume_new=True) is None
    finally:
        server.start()
    back(ledger)
    assert written(ledger, [entry(20)]) == [None]
    assert times(ledger) == [*kept, 20]


def test_what_was_written_is_known_while_the_server_is_away(
    server: Postgres, open_ledger: Callable[..., Ledger], entry: MakeEntry, written: Write
) -> None:
    ledger = open_ledger()
    written(ledger, [entry(1)])
    server.stop()
    try:
        written(ledger, [entry(2), entry(2, kind="label")])
        spooled = ledger.find("pay-2")
        assert spooled is not None
        assert (spooled.time, spooled.seq) == (2, 0)
        assert [one.seq for one in ledger.labels("pay-2")] == [0]
        assert "the spool already has a label" in str(written(ledger, [entry(2, kind="label")])[0])
        # whether it is new cannot be told, and what it was cannot either
        for new in (True, False):
            with pytest.raises(LedgerAway):
                ledger.find("pay-1", presume_new=new)
        assert ledger.find("pay-3", presume_new=True) is None
        with pytest.raises(LedgerAway):
            ledger.find("pay-3")
        there, unknown, new_one = ledger.find_all(["pay-2", "pay-1", "pay-3"])
        assert (there, new_one) == (spooled, None)
        assert isinstance(unknown, LedgerAway)
        with pytest.raises(LedgerAway, match="waits in the spool"):
            ledger.entries()
    finally:
        server.start()
    back(ledger)
    found = ledger.find("pay-2")
    assert found is not None
    assert found.seq == 2
    assert times(ledger) == [1, 2, 2]


def test_what_others_wrote_is_known_while_the_server_is_away(
    server: Postgres,
    open_ledger: Callable[..., Ledger],
    entry: MakeEntry,
    written: Write,
    tmp_path: Path,
) -> None:
    one, two = open_ledger(), open_ledger(tmp_path / "other")
    written(one, [entry(1), entry(1, kind="label")])
    assert two._failover is not None
    until(partial(two._failover.may_have, "pay-1", "label"))
    server.stop()
    try:
        for kind in ("payment", "label"):
            with pytest.raises(LedgerAway):
                two.find("pay-1", kind, presume_new=True)
        assert written(one, [entry(2)]) == [None]
        assert two.find("pay-2", presume_new=True) is None
    finally:
        server.start()
    back(one)
    until(partial(two._failover.may_have, "pay-2", "payment"))


def test_the_ledgers_first_stands_and_the_other_is_told(
    server: Postgres,
    open_ledger: Callable[..., Ledger],
    entry: MakeEntry,
    written: Write,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, two = open_ledger(), open_ledger(tmp_path / "other")
    server.stop()
    try:
        assert written(one, [entry(1), entry(2, payment_id="both")]) == [None, None]
        one.close()
        assert written(two, [entry(3, payment_id="both"), entry(4)]) == [None, None]
    finally:
        server.start()
    back(two)
    again = open_ledger()
    assert [(stored.payment_id, stored.time) for stored in again.entries()] == [
        ("both", 3),
        ("pay-4", 4),
        ("pay-1", 1),
    ]
    again.verify()
    ((answered, stands),) = again.overruled()
    assert (answered.payment_id, answered.time, stands.time) == ("both", 2, 3)
    assert [*again.overruled()] == []
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "the payment of payment `both` was answered from the spool" in line
    assert "amount" not in caplog.text


def test_a_machine_that_is_gone_in_the_middle_of_its_commit_keeps_no_turn(
    open_ledger: Callable[..., Ledger],
    entry: MakeEntry,
    written: Write,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(postgres, "_LOCK_TIMEOUT_MS", 150)
    monkeypatch.setattr(postgres, "_IDLE_TIMEOUT_MS", 200)
    ledger, gone = open_ledger(), postgres.Postgres(make_url(url))
    with gone.writable() as silent:
        gone.begin(cursor(silent), wait=True)
        assert written(ledger, [entry(1)]) == [None]
        hang_up(silent)
    assert (ledger.spooled, caplog.messages) == (None, [])
    assert times(ledger) == [1]


def test_a_turn_is_waited_for_as_long_as_others_write(
    open_ledger: Callable[..., Ledger],
    entry: MakeEntry,
    written: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger, other = open_ledger(), open_ledger(tmp_path / "other")
    begin, ahead = postgres.Postgres.begin, [entry(2), entry(1)]
    writers = [thread for thread in threading.enumerate() if thread.name == "shroff-ledger"]
    assert len(writers) == 2

    def wait_in_vain(self: postgres.Postgres, statements: Cursor, *, wait: bool) -> bool:
        if threading.current_thread() is writers[1] or not ahead:
            return begin(self, statements, wait=wait)
        assert written(other, [ahead.pop()]) == [None]
        statements.execute("DO $$ BEGIN RAISE lock_not_available; END $$")
        return True

    monkeypatch.setattr(postgres.Postgres, "begin", wait_in_vain)
    assert written(ledger, [entry(3)]) == [None]
    assert ledger.spooled is None
    assert times(ledger) == [1, 2, 3]


def test_what_was_drained_before_a_crash_is_not_drained_twice(
    server: Postgres,
    open_ledger: Callable[..., Ledger],
    entry: MakeEntry,
    written: Write,
    spool: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = open_ledger()
    written(ledger, [entry(0)])
    server.stop()
    try:
        written(ledger, [entry(number) for number in range(1, 9)])
        ledger.close()
    finally:
        server.start()
    before = shutil.copytree(spool, tmp_path / "before")
    for folder in (spool, before):
        again = open_ledger(folder, max_group=3)
        assert times(again) == list(range(9))
        again.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_spool_of_another_ledger_is_left_alone(
    server: Postgres,
    open_ledger: Callable[..., Ledger],
    entry: MakeEntry,
    written: Write,
    spool: Path,
) -> None:
    ledger = open_ledger()
    written(ledger, [entry(0)])
    server.stop()
    try:
        written(ledger, [entry(1)])
        ledger.close()
    finally:
        server.start()
    with (
        postgres_schema(server.url) as other,
        pytest.raises(ConfigurationError, match="expected a spool of this"),
    ):
        Ledger(other, spool=spool).open()
    assert times(open_ledger()) == [0, 1]


def test_without_a_spool_entries_are_refused(
    server: Postgres,
    open_ledger: Callable[..., Ledger],
    entry: MakeEntry,
    written: Write,
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for ledger in (open_ledger(spool_limit=0), open_ledger(blocked)):
        server.stop()
        try:
            (outcome,) = written(ledger, [entry(1)])
        finally:
            server.start()
        assert isinstance(outcome, LedgerUnavailable)
        assert times(ledger) == []


def test_the_spool_holds_sealed_records_only(
    server: Postgres, spool: Path, open_ledger: Callable[..., Ledger]
) -> None:
    keys = PuncturableKeys.random()
    period = Period(number=1, began=1, subject="card_id", identifying=(), keys=keys)
    keyring = Keyring(b"k" * 32, [period])
    ledger = open_ledger(keyring=keyring)
    server.stop("immediate")
    try:
        paid = Entry("payment", "p1", 1, 1, b"d" * 32, b'{"card": "of ada"}', subject="ada")
        ledger.write_now(paid)
        found = ledger.find("p1")
        assert found is not None
        assert (found.seq, found.digest, found.body) == (0, paid.digest, paid.body)
        said = Entry("label", "p1", 2, 2, b"e" * 32, b'{"ada": "said"}', seal=found.seal)
        ledger.write_now(said)
        assert [label.body for label in ledger.labels("p1")] == [said.body]
        written = b"".join(path.read_bytes() for path in spool.iterdir())
        assert b"p1" in written
        assert not any(text in written for text in (b"ada", paid.digest, said.digest))
    finally:
        server.start()
    back(ledger)
    assert [entry.body for entry in ledger.entries()] == [paid.body, said.body]
    assert {bytes(entry.body[:16]) for entry in ledger.raw()} == {found.seal}
    ledger.verify()


def test_a_spool_that_grows_is_no_news(
    tmp_path: Path, entry: MakeEntry, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []
    reasons = ["it is away"] * 3 + ["it is full"] * 2

    def commit(entries: Sequence[Entry]) -> list[Outcome]:
        tried.append(len(entries))
        if len(tried) > len(reasons):
            return [None] * len(entries)
        raise LedgerAway(f"cannot write {len(tried)} entries: {reasons[len(tried) - 1]}.")

    spool = Spool(tmp_path, limit=10**6)
    spool.open()
    over = failover.Failover(spool, commit=commit, find=lambda *_: None, max_group=10)
    over.begin(Head(0, b""), "it is away.")
    over.take([entry(1)])
    until(lambda: not over.active)
    over.stop()
    spool.close()
    waits = [told for told in caplog.messages if told.startswith("the spool cannot be drained")]
    assert [told.rpartition(": ")[2] for told in waits] == ["it is away.", "it is full."]
