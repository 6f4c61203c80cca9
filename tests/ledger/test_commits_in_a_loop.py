"""An event loop commits to a quick disk by itself, and leaves all else to the writer's thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from time import monotonic
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patience import PATIENCE
from shroff.errors import LedgerUnavailable
from shroff.ledger import Entry, Keyring, Ledger, Outcome, writer
from shroff.ledger.committer import chained
from shroff.ledger.queue import Queue, Queued

MakeEntry = Callable[..., Entry]


class Watched(Keyring):
    """A keyring that remembers in which thread entries were sealed, which is where they are
    committed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[Thread] = []

    def seal(self, entry: Entry) -> Entry:
        self.threads.append(current_thread())
        return super().seal(entry)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the disk of the tests for a quick one, however busy it is."""
    monkeypatch.setattr(writer, "_QUICK_NS", 10**12)


@pytest.fixture
def keyring() -> Watched:
    return Watched()


@pytest.fixture
def ledger(url: str, keyring: Watched, entry: MakeEntry) -> Iterator[Ledger]:
    """An open ledger that has had its first commit."""
    with Ledger(url, keyring=keyring) as opened:
        opened.write_now(entry(0))
        yield opened


def test_a_loop_commits_to_a_file_by_itself(
    url: str, ledger: Ledger, keyring: Watched, entry: MakeEntry
) -> None:
    asyncio.run(ledger.write(entry(1)))
    first, then = keyring.threads
    assert first is not main_thread()
    # a server may be away for long
    assert (then is main_thread()) == url.startswith("sqlite")
    assert ledger.verify().seq == 2


def test_a_loop_leaves_a_slow_disk_to_the_writer_and_takes_over_again(
    file: Path, keyring: Watched, entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # an eighth of what it waits for the disk
    monkeypatch.setattr(writer, "_QUICK_NS", 30_000_000)
    slow = Event()

    def slowly(*arguments: Any) -> Any:
        if slow.is_set():
            slow.clear()
            Event().wait(0.4)
        return chained(*arguments)

    monkeypatch.setattr("shroff.ledger.committer.chained", slowly)
    with Ledger(f"sqlite:///{file}", keyring=keyring) as ledger:
        ledger.write_now(entry(0))
        slow.set()
        asyncio.run(ledger.write(entry(1)))
        assert keyring.threads[-1] is main_thread()
        asyncio.run(ledger.write(entry(2)))
        assert keyring.threads[-1] is not main_thread()
        number, deadline = 2, monotonic() + PATIENCE
        while keyring.threads[-1] is not main_thread():
            assert monotonic() < deadline
            number += 1
            asyncio.run(ledger.write(entry(number)))
        assert ledger.verify().seq == number + 1


def test_a_loop_goes_on_while_another_program_writes(
    file: Path, keyring: Watched, entry: MakeEntry
) -> None:
    """The lock is released by what the loop does meanwhile; entries keep their order."""

    async def main(ledger: Ledger) -> None:
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(ledger.write(entry(1)))
        while len(keyring.threads) < 2:
            # until the loop has tried
            await asyncio.sleep(0)
        second = asyncio.create_task(ledger.write(entry(2)))
        await asyncio.sleep(0)
        assert not first.done()
        other.execute("ROLLBACK")
        await asyncio.wait_for(asyncio.gather(first, second), PATIENCE)

    with (
        Ledger(f"sqlite:///{file}", keyring=keyring) as ledger,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        ledger.write_now(entry(0))
        asyncio.run(main(ledger))
        assert [stored.time for stored in ledger.entries()] == [0, 1, 2]
        assert keyring.threads[1] is main_thread()
        assert main_thread() not in keyring.threads[2:]
        ledger.verify()


def test_what_a_loop_put_back_is_committed_at_the_end(file: Path, entry: MakeEntry) -> None:
    """The writer's thread has ended by then."""
    ledger = Ledger(f"sqlite:///{file}")
    ledger.open()
    ledger.write_now(entry(0))
    queue, made = ledger._queue, ledger._writer
    assert made is not None
    group = [Queued(entry(1), lambda outcome: None), Queued(entry(2), lambda outcome: None)]
    queue.close()
    made._thread.join()
    queue.put_back(group)
    ledger.close()
    assert [stored.time for stored in ledger.entries()] == [0, 1, 2]


@given(
    groups=st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=8),
    max_group=st.integers(1, 3),
)
@settings(max_examples=25)
def test_loop_and_threads_keep_one_order(
    groups: list[tuple[bool, int]], max_group: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing is left for the writer's next look, and what was queued first is first."""
    told: list[tuple[str, Outcome]] = []

    def entry_of(number: int) -> Entry:
        return Entry("payment", f"pay-{number}", number + 1, number, bytes(32), b"{}")

    async def main(ledger: Ledger) -> None:
        loop, number = asyncio.get_running_loop(), 1
        done = asyncio.Event()
        total = sum(size for _, size in groups)

        def durable(name: str, outcome: Outcome) -> None:
            told.append((name, outcome))
            if len(told) == total:
                done.set()

        def elsewhere(name: str, outcome: Outcome) -> None:
            loop.call_soon_threadsafe(durable, name, outcome)

        for here, size in groups:
            entries = [entry_of(number + at) for at in range(size)]
            number += size
            if here:
                ledger.append_all(
                    [(one, partial(durable, one.payment_id)) for one in entries], loop
                )
            else:
                for one in entries:
                    ledger.append(one, partial(elsewhere, one.payment_id))
            await asyncio.sleep(0)
        if total:
            await asyncio.wait_for(done.wait(), PATIENCE)

    file = tmp_path_factory.mktemp("loop") / "ledger.db"
    with pytest.MonkeyPatch.context() as patch:
        # whoever forgets to wake the writer waits for this long
        patch.setattr(writer, "_RETRY_SECONDS", 10 * PATIENCE)
        with Ledger(f"sqlite:///{file}", max_group=max_group) as ledger:
            ledger.write_now(entry_of(0))
            asyncio.run(main(ledger))
            wanted = [f"pay-{number}" for number in range(1 + len(told))]
            assert [one.payment_id for one in ledger.entries()] == wanted
            assert sorted(told) == sorted((name, None) for name in wanted[1:])
            ledger.verify()


def test_closing_waits_for_the_group_that_a_loop_commits(
    file: Path, entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is closed, another process may write."""
    hold, held, closed = Event(), Event(), Event()
    waited: list[bool] = []

    class Slow(Keyring):
        def seal(self, entry: Entry) -> Entry:
            if entry.payment_id == "pay-1":
                closer.start()
                closer.join(0.2)
                waited.append(closer.is_alive())
            return super().seal(entry)

    class Held(Queue):
        """The writer's thread sees no sooner that it has ended than the loop has its group."""

        @property
        def ended(self) -> bool:
            if hold.is_set():
                held.set()
                closed.wait(PATIENCE)
            return super().ended

        def close(self) -> None:
            super().close()
            closed.set()

    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("shroff.ledger.ledger.Queue", Held)
    ledger = Ledger(f"sqlite:///{file}", keyring=Slow())
    closer = Thread(target=ledger.close)
    ledger.open()
    ledger.write_now(entry(0))
    hold.set()
    assert held.wait(PATIENCE)
    asyncio.run(ledger.write(entry(1)))
    closer.join()
    assert waited == [True]
    assert [stored.time for stored in ledger.entries()] == [0, 1]


def test_a_fault_in_the_loop_stops_the_writer_too(file: Path, entry: MakeEntry) -> None:
    class Broken(Keyring):
        def seal(self, entry: Entry) -> Entry:
            if entry.payment_id == "pay-1":
                raise ValueError("a mistake of ours")
            return super().seal(entry)

    async def main(ledger: Ledger) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        for number in (1, 2):
            with pytest.raises(LedgerUnavailable, match=r"writer has stopped|not open"):
                await asyncio.wait_for(ledger.write(entry(number)), PATIENCE)

    with Ledger(f"sqlite:///{file}", keyring=Broken()) as ledger:
        ledger.write_now(entry(0))
        asyncio.run(main(ledger))
        assert ledger.failure is not None
        ledger.close()
        ledger.open()
        asyncio.run(ledger.write(entry(3)))
        assert [stored.time for stored in ledger.entries()] == [0, 3]
