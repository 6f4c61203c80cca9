"""Ledger: keep every payment, result and label as it arrived, durable before its answer leaves.

Reads and writes entries in SQLite or PostgreSQL; times are microseconds since the epoch. One writer
thread commits whatever waits as one group, so that many payments share one sync of the disk.

Promises that records are numbered without gaps, each with a SHA-256 over itself and the one before,
so that changes are detected; and that an entry that cannot be made durable is refused, together
with all entries queued after it. Records of subjects are sealed, each subject's under a key of
their own; the chain is over what is sealed, so that a person can be forgotten and it still holds.
"""

from __future__ import annotations

from shroff.ledger.commits import Commits
from shroff.ledger.database import Head
from shroff.ledger.durable import OnDurable, Outcome
from shroff.ledger.keyring import Keyring
from shroff.ledger.ledger import Ledger
from shroff.ledger.noted import Noted
from shroff.ledger.proof import Proof
from shroff.ledger.record import GENESIS, Entry, Kind, StoredEntry, unreadable
from shroff.ledger.records import Records

__all__ = [
    "GENESIS",
    "Commits",
    "Entry",
    "Head",
    "Keyring",
    "Kind",
    "Ledger",
    "Noted",
    "OnDurable",
    "Outcome",
    "Proof",
    "Records",
    "StoredEntry",
    "unreadable",
]
