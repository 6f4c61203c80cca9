"""How long the state of a service takes to come back: from the whole ledger, and from a snapshot.

    python -m benchmarks.restart --payments 1000000 --after 10000

The work: the twenty features of `benchmarks/state.py` over simulated payments of ninety days, in a
ledger in SQLite with their results and the labels of one in ten, written in bulk. The snapshot is
written before the last `--after` payments. Both engines must then give the same features of the
same payments. A million payments take 1.7 GB of disk and 1.3 GB of memory, each further million
1.7 GB and 0.3 GB.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, sleep
from typing import NamedTuple, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.restart_ledger import append, entries, records, simulated, workers
from benchmarks.state import GROUP, SCHEMA
from shroff.collect.payment import Payment
from shroff.features.engines.online import OnlineEngine
from shroff.ledger import GENESIS, Head, Ledger
from shroff.state import Mark, Snapshots, rebuild
from shroff.state.snapshots import End, Header

_WAITING_ENTRIES = 5_000
_LATENESS_US = 86_400_000_000

T = TypeVar("T")


class Spent(NamedTuple):
    """Seconds by the clock, and of the processor."""

    clock: float
    processor: float

    @classmethod
    def by(cls, work: Callable[[], T]) -> tuple[Spent, T]:
        """What work takes, and what it gives."""
        begun, used = perf_counter(), process_time()
        done = work()
        return cls(perf_counter() - begun, process_time() - used), done


def write(ledger: Ledger, stream: Iterable[Payment]) -> None:
    """Write the records of payments."""
    records = entries(stream)
    while group := list(islice(records, _WAITING_ENTRIES)):
        for entry in group[:-1]:
            ledger.append(entry, lambda outcome: None)
        ledger.write_now(group[-1])


class Place:
    """A ledger and its snapshot in a folder."""

    def __init__(self, folder: str, now: int) -> None:
        self.ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        self.snapshots = Snapshots(Path(folder), bytes(32), seconds=0)
        self.now = now

    def engine(self) -> OnlineEngine:
        """An empty engine."""
        return OnlineEngine([GROUP], SCHEMA, clock=lambda: self.now)

    def replayed(self, engine: OnlineEngine) -> Mark:
        """Fill an engine from the whole ledger."""
        read = self.ledger.proof(Head(0, GENESIS), tolerant=False).read
        return rebuild.fill(
            engine, None, self.ledger, read, lateness=_LATENESS_US, now=self.now, tick=_nothing
        )

    def resumed(self, engine: OnlineEngine) -> Mark:
        """Fill an engine from the snapshot and the records after it."""
        saved = self.snapshots.read("bench")
        assert saved is not None
        read = self.ledger.proof(saved.end.head, tolerant=False).read
        return rebuild.resume(
            engine, saved, self.ledger, read, lateness=_LATENESS_US, now=self.now, tick=_nothing
        )

    def save(self, engine: OnlineEngine, mark: Mark) -> None:
        """Write a snapshot of an engine."""
        head = self.ledger.head()
        header = Header(
            origin=engine.origin(),
            ledger="bench",
            destroyed="",
            currency=None,
            mark=mark,
            first=head.seq,
        )
        with self.snapshots.begin(header) as writer:
            for portion in engine.portions():
                writer.add(head.seq, portion)
            writer.finish(End(head=head, arrived=mark.arrived, newest=engine.newest))

    def await_ids(self) -> None:
        """Wait until the ledger, which is open, has read the ids of its records."""
        known = self.ledger.known
        while known is not None and not known.complete:
            sleep(0.01)


def _nothing() -> None:
    """Nobody aborts the reading."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--payments", type=int, default=100_000)
    parser.add_argument("--after", type=int, default=1_000, help="payments after the snapshot")
    parser.add_argument("--folder", help="where the ledger is: 1.7 kB a payment")
    parser.add_argument("--processes", type=int, default=2, help="that make payments and records")
    options = parser.parse_args()
    table = Table("", "seconds", "processor seconds", "µs a payment")

    def add(name: str, work: Callable[[], T]) -> T:
        spent, done = Spent.by(work)
        each = f"{spent.processor / options.payments * 1e6:.1f}"
        table.add_row(name, f"{spent.clock:.1f}", f"{spent.processor:.1f}", each)
        # ten million payments take half an hour
        print(f"{name}: {spent.clock:.1f} s", file=sys.stderr, flush=True)
        return done

    with TemporaryDirectory(dir=options.folder) as folder:
        with workers(options.processes) as pool:
            past = simulated(Path(folder), options.payments + options.after, pool)
            last = past.last(options.after)
            later = {payment.id for payment in last}
            place = Place(folder, past.newest)
            with place.ledger:
                pass  # it has its tables now
            before_them = (one for one in records(past, pool) if one.payment_id not in later)
            add("ledger written in bulk", lambda: append(Path(folder) / "ledger.db", before_them))
        with place.ledger:
            before = place.engine()
            mark = add("whole ledger verified and replayed", lambda: place.replayed(before))
            add("snapshot written", lambda: place.save(before, mark))
            write(place.ledger, last)
        rebuild.replay(before, place.ledger.entries(after=mark.seq))
        # a start's process has nothing else to look through
        gc.collect()
        gc.freeze()
        again = place.engine()
        add("ledger opened", place.ledger.open)
        add("snapshot read, records after it verified and replayed", lambda: place.resumed(again))
        add("ids that were not read by then", place.await_ids)
        place.ledger.close()
        size = (Path(folder) / "bench.state").stat().st_size
        for payment in last:
            # at the newest time: what is late, windows need not see whole
            values = payment.values | {SCHEMA.time: place.now}
            probe = msgspec.structs.replace(
                payment, id=f"{payment.id}-again", time=place.now, values=values
            )
            if before.observe(probe) != again.observe(probe):
                sys.exit(f"{payment.id}: the features differ")
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(
        f"{options.payments:,} payments and {options.after:,} after the snapshot of "
        f"{size / 1e6:,.1f} MB; the same features"
    )
    console.print(table)


if __name__ == "__main__":
    main()
