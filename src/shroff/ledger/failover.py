"""The failover: while the ledger's database is away, entries go to the spool, and later back.

While it is active, the writer's thread writes entries to the spool, and the failover's own thread
drains the spool into the database once that answers. Only one of the two threads uses the database
at any time. The last entries are drained under the lock that the writer's thread needs, so that all
of the spool is in the ledger before anything newer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from threading import Event, Lock, Thread
from typing import Final, NamedTuple

from shroff.errors import ConfigurationError, PaymentConflict, ShroffError
from shroff.ledger.database import Head
from shroff.ledger.durable import Outcome
from shroff.ledger.id_filter import IdFilter, filter_key
from shroff.ledger.record import Entry, Key, Kind, StoredEntry, key_of
from shroff.ledger.spool import Spool

_RETRY_SECONDS: Final = 1.0
"""Seconds between two attempts to reach the database."""
_log = logging.getLogger(__name__)
Commit = Callable[[Sequence[Entry]], list[Outcome]]
Find = Callable[[str, Kind], StoredEntry | None]


class Spooled(NamedTuple):
    """The contents of the spool, and the most bytes that it takes."""

    entries: int
    bytes: int
    limit: int


class Overruled(NamedTuple):
    """A payment that was answered here, and the one that the ledger has under its id instead."""

    answered: StoredEntry
    stands: StoredEntry


class Failover:
    """Takes entries while the ledger's database is away.

    Args:
        commit: writes entries into the ledger; while the failover is active, only its thread calls
            it.
        find: looks up a record in the ledger.
    """

    def __init__(self, spool: Spool, *, commit: Commit, find: Find, max_group: int) -> None:
        self.active = False
        """Whether entries go to the spool; changes under a lock."""
        self._spool = spool
        self._commit = commit
        self._find = find
        self._max_group = max_group
        self._lock = Lock()
        self._last = Head(0, b"")
        self._entries: list[Entry] = []
        self._drained = 0
        self._known: dict[Key, StoredEntry] = {}
        self.overruled: deque[Overruled] = deque()
        """Payments that were answered from the spool, for whom counts them to take up."""
        self._seen = IdFilter()
        self._stopping = Event()
        self._thread: Thread | None = None

    def remember(self, keys: Iterable[tuple[str, Kind]]) -> None:
        """Remember all events in the ledger when it is opened, by payment id and kind."""
        self._seen = IdFilter(starmap(filter_key, keys))

    def note(self, entries: Iterable[Entry]) -> None:
        """Remember durable entries, so that they do not count as new while the database is away."""
        for entry in entries:
            self._seen.add(filter_key(entry.payment_id, entry.kind))

    def follow(self, payment_id: str, kind: Kind) -> None:
        """Remember an event that the ledger has, whoever wrote it; from any thread."""
        key = filter_key(payment_id, kind)
        if not self._seen.may_have(key):
            self._seen.add(key)

    def may_have(self, payment_id: str, kind: Kind) -> bool:
        """Whether the ledger may have an event, as far as this process has seen."""
        return self._seen.may_have(filter_key(payment_id, kind))

    @property
    def waiting(self) -> Spooled:
        """The size of the spool's contents."""
        return Spooled(len(self._entries) - self._drained, self._spool.size, self._spool.limit)

    def recover(self, belongs: Callable[[Head], bool]) -> None:
        """Write entries that earlier processes left in the spool into the ledger.

        Raises:
            LedgerUnavailable: the database does not answer.
            ConfigurationError: those processes wrote another ledger.
        """
        for found in self._spool.leftovers():
            if not all(belongs(Head(frame.seq, frame.chain)) for frame in found):
                raise ConfigurationError(
                    f"expected a spool of this ledger in {self._spool.folder}, got one of another: "
                    "go back to its ledger, or set SHROFF_SPOOL to another folder."
                )
            entries = [entry for frame in found for entry in frame.entries]
            for start in range(0, len(entries), self._max_group):
                self._bring(entries[start : start + self._max_group])
            if entries:
                _log.warning(
                    "entries that were left in the spool are in the ledger: %s.",
                    f"{len(entries):,}",
                )

    def begin(self, last: Head, reason: str) -> None:
        """Write entries to the spool from now on; `last` is the ledger's last known record."""
        with self._lock:
            self._last = last
            self.active = True
        _log.warning(
            "%s What is decided goes to the spool in %s.",
            reason,
            self._spool.folder,
            extra={"event": "spool_begun"},
        )
        self._thread = Thread(target=self._drain, name="shroff-spool", daemon=True)
        self._thread.start()

    def take(self, entries: Sequence[Entry]) -> list[Outcome] | None:
        """Make entries durable in the spool; None if the failover is not active.

        Raises:
            LedgerUnavailable: the spool is full, or cannot be written.
        """
        with self._lock:
            if not self.active:
                return None
            outcomes: list[Outcome] = []
            new: dict[Key, StoredEntry] = {}
            for entry in entries:
                key = key_of(entry.kind, entry.payment_id, entry.digest)
                clash = key in self._known or key in new
                outcomes.append(
                    PaymentConflict(f"the spool already has a {entry.kind} with this id.")
                    if clash
                    else None
                )
                if not clash:
                    new[key] = _unnumbered(entry)
            self._spool.add(
                self._last,
                [entry for entry, clash in zip(entries, outcomes, strict=True) if not clash],
            )
            self._entries += new.values()
            self._known |= new
            return outcomes

    def find(self, payment_id: str, kind: Kind) -> StoredEntry | None:
        """The spool's record, numbered 0. Call it before `active`, and read the ledger after."""
        if kind == "label":
            return next(iter(self.labels(payment_id)), None)
        return self._known.get(key_of(kind, payment_id, b""))

    def labels(self, payment_id: str) -> list[StoredEntry]:
        """All labels of a payment, if the spool has any: it takes none of payments with others."""
        return [
            entry
            for entry in list(self._known.values())
            if entry.kind == "label" and entry.payment_id == payment_id
        ]

    def stop(self) -> None:
        """Stop draining; the next start recovers entries left in the spool."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _drain(self) -> None:
        logged = ""
        while not self._stopping.wait(_RETRY_SECONDS):
            try:
                while not self._stopping.is_set():
                    if self._bring_some():
                        return
            except ShroffError as error:
                # how many entries wait, which comes before the reason, is no news
                _, _, reason = str(error).partition(": ")
                if reason != logged:
                    logged = reason
                    _log.warning(
                        "the spool cannot be drained yet: %s", error, extra={"event": "spool_waits"}
                    )

    def _bring_some(self) -> bool:
        """Write one group into the ledger; true if it was the last, which ends the failover."""
        if len(self._entries) - self._drained > self._max_group:
            self._bring(self._entries[self._drained : self._drained + self._max_group])
            self._drained += self._max_group
            return False
        with self._lock:
            # even if nothing waits: the database must have answered before it is used again
            self._bring(self._entries[self._drained :])
            number = len(self._entries)
            # the order matters, see `find`
            self.active = False
            self._entries, self._drained, self._known = [], 0, {}
            self._spool.clear()
        _log.warning(
            "the ledger's database is back, and has the entries of the spool: %s.",
            f"{number:,}",
            extra={"event": "spool_done"},
        )
        return True

    def _bring(self, entries: Sequence[Entry]) -> None:
        """Write entries into the ledger, except those that it has already."""
        for entry, outcome in zip(entries, self._commit(entries), strict=True):
            if outcome is None or entry.kind == "label":
                # a label conflicts only with the very same label
                continue
            stands = self._find(entry.payment_id, entry.kind)
            if not _same(entry, stands):
                if stands is not None and entry.kind == "payment":
                    self.overruled.append(Overruled(_unnumbered(entry), stands))
                _log.error(
                    "the %s of payment `%s` was answered from the spool, but another process had "
                    "written one before: that one stands.",
                    entry.kind,
                    entry.payment_id,
                    extra={
                        "event": "spool_conflict",
                        "fields": {"payment_id": entry.payment_id, "kind": entry.kind},
                    },
                )


def _unnumbered(entry: Entry) -> StoredEntry:
    return StoredEntry(
        entry.kind,
        entry.payment_id,
        entry.arrived,
        entry.time,
        entry.digest,
        entry.body,
        seq=0,
        chain=b"",
    )


def _same(entry: Entry, stored: StoredEntry | None) -> bool:
    """Whether the ledger has this very entry, by a commit whose answer was lost."""
    if stored is None:
        return False
    return (entry.arrived, entry.time, entry.digest, entry.body) == (
        stored.arrived,
        stored.time,
        stored.digest,
        stored.body,
    )
