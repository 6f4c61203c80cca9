"""The decision ledger: every payment, result and label as it arrived, durable before its answer leaves.

One writer thread commits whatever waits as one group, so that many payments share one sync of the disk.
Records are numbered without gaps and each carries a SHA-256 over itself and the one before, so that a
change is seen. What cannot be made durable is refused, together with everything behind it.
"""

from __future__ import annotations

from shroff.ledger.commits import Commits
from shroff.ledger.database import Head
from shroff.ledger.ledger import Ledger
from shroff.ledger.noted import Noted
from shroff.ledger.proof import Proof
from shroff.ledger.queue import Done, Outcome
from shroff.ledger.record import GENESIS, Entry, Kind, StoredEntry, unreadable

__all__ = [
    "GENESIS",
    "Commits",
    "Done",
    "Entry",
    "Head",
    "Kind",
    "Ledger",
    "Noted",
    "Outcome",
    "Proof",
    "StoredEntry",
    "unreadable",
]
