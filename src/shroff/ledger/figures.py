"""The ledger's figures: the queue, the spool, and the size and time of commits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shroff.ledger.failover import Spooled
from shroff.ledger.ledger import Ledger
from shroff.telemetry.family import Figure, GaugeFamily, HistogramFamily
from shroff.telemetry.figures import FAILURES

QUEUE: Final = GaugeFamily(
    name="shroff_ledger_queue_entries", about="Entries that wait for the ledger's writer."
)
SPOOL_ENTRIES: Final = GaugeFamily(
    name="shroff_spool_entries", about="Entries that wait for the ledger's database."
)
SPOOL_BYTES: Final = GaugeFamily(name="shroff_spool_bytes", about="Bytes of the spool on disk.")
SPOOL_LIMIT: Final = GaugeFamily(
    name="shroff_spool_limit_bytes",
    about="Bytes at which the spool is full and payments are refused; 0 while it is not used.",
)
RECORDS: Final = GaugeFamily(
    name="shroff_ledger_records", about="The number of the ledger's last record.", merge="max"
)
GROUP: Final = HistogramFamily(
    name="shroff_ledger_group_entries", about="Entries that shared a commit."
)
COMMIT: Final = HistogramFamily(
    name="shroff_ledger_commit_seconds", about="Time of a commit.", unit=1e-9
)


def figures(ledger: Ledger) -> Iterator[Figure]:
    """The figures of a ledger now."""
    commits, spooled = ledger.commits, ledger.spooled or Spooled(0, 0, 0)
    yield FAILURES.of({("ledger",): commits.failed})
    yield QUEUE.single(ledger.queued)
    yield SPOOL_ENTRIES.single(spooled.entries)
    yield SPOOL_BYTES.single(spooled.bytes)
    yield SPOOL_LIMIT.single(spooled.limit)
    yield RECORDS.single(0 if commits.end is None else commits.end.seq)
    yield GROUP.single(commits.entries)
    yield COMMIT.single(commits.seconds)
