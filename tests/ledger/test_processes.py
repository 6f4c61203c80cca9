"""A ledger between processes: killed while writing, out of disk space, opened twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from patience import PATIENCE
from shroff.errors import LedgerUnavailable
from shroff.ledger import Entry, Ledger, Outcome

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]

WRITE_UNTIL_KILLED = """
import asyncio, sys
from shroff.ledger import Entry, Ledger

async def main():
    ledger = Ledger(sys.argv[1])
    ledger.open()
    async def writer(name):
        for number in range(1_000_000):
            payment_id = f"{name}-{number}"
            await ledger.write(Entry("payment", payment_id, number, number, bytes(32), b"x" * 300))
            sys.stdout.write(payment_id + "\\n")
            sys.stdout.flush()
    await asyncio.gather(*(writer(name) for name in range(22)))

asyncio.run(main())
"""

FILL_THE_DISK = """
import functools, queue, resource, sys, threading
from shroff.ledger import Entry, Ledger

def write(first, count):
    told, all_queued = queue.SimpleQueue(), threading.Event()
    def done(number, outcome):
        all_queued.wait(240)
        told.put((number, outcome))
    for number in range(first, first + count):
        entry = Entry("payment", f"pay-{number}", number, number, bytes(32), bytes(4_000))
        ledger.append(entry, functools.partial(done, number))
    all_queued.set()
    return [told.get(timeout=240) for _ in range(count)]

ledger = Ledger(sys.argv[1], max_group=16)
ledger.open()
limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
full = write(0, 1_000)
kept = [number for number, outcome in full if outcome is None]
refused = [(number, type(outcome).__name__) for number, outcome in full if outcome is not None]
assert kept == list(range(len(kept))) and 0 < len(kept) < 1_000, "the first are kept, in order"
others = [(number, "LedgerUnavailable") for number in range(len(kept), 1_000)]
assert refused == others, "all others refused, in order"
assert [stored.time for stored in ledger.entries()] == kept, "the refused are not in the ledger"
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
(again,) = write(1_000, 1)
assert again == (1_000, None), "goes on when there is space"
assert ledger.verify().seq == len(kept) + 1
ledger.close()
"""

OPEN_AS_SECOND = """
import sys
from shroff.errors import LedgerUnavailable
from shroff.ledger import Ledger
try:
    Ledger(sys.argv[1]).open()
except LedgerUnavailable as error:
    print(error)
"""


def test_kill_9_loses_nothing_acknowledged(url: str) -> None:
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(2_000)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    # the last line may have been cut by the kill
    acknowledged += rest.split("\n")[:-1]
    with Ledger(url) as ledger:
        found = {stored.payment_id for stored in ledger.entries()}
        assert set(acknowledged) <= found
        assert ledger.verify().seq == len(found) >= 2_000


def test_disk_full(file: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, f"sqlite:///{file}"], check=True, timeout=PATIENCE
    )


@pytest.mark.parametrize("other", ["ledger.db", "linked.db", "folder/ledger.db", "hard.db"])
def test_a_second_writer_is_refused_by_whatever_name_it_knows_the_file(
    file: Path, other: str
) -> None:
    first = Ledger(f"sqlite:///{file}")
    first.open()
    (file.parent / "linked.db").symlink_to(file)
    (file.parent / "hard.db").hardlink_to(file)
    (file.parent / "folder").symlink_to(file.parent)
    for stray in file.parent.glob("*.lock"):
        stray.unlink()
    url = f"sqlite:///{file.parent / other}"
    told = subprocess.run(
        [sys.executable, "-c", OPEN_AS_SECOND, url],
        check=True,
        timeout=PATIENCE,
        capture_output=True,
        text=True,
    )
    assert "another process writes it" in told.stdout
    second = Ledger(url)
    with pytest.raises(LedgerUnavailable, match=r"a SQLite ledger has one writer; .* the --url of"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_two_writers_share_a_server(url: str, entry: MakeEntry, written: Write) -> None:
    if url.startswith("sqlite"):
        pytest.skip("a SQLite ledger has one writer")
    with Ledger(url) as one, Ledger(url) as two:
        for number in range(10):
            assert written((one, two)[number % 2], [entry(number)]) == [None]
        (outcome,) = written(two, [entry(0)])
    assert "already has a payment" in str(outcome)
    assert one.verify().seq == 10
