"""Makes groups of entries durable, one commit a group, in a thread of its own or the caller's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock, Thread
from time import perf_counter_ns
from typing import Final

from shroff.errors import LedgerAway, LedgerUnavailable
from shroff.ledger.commits import Commits
from shroff.ledger.committer import Committer, Occupied
from shroff.ledger.database import Backend, Head, unavailable
from shroff.ledger.durable import Outcome
from shroff.ledger.failover import Failover, Find
from shroff.ledger.keyring import Keyring
from shroff.ledger.queue import Queue, Queued, resolve
from shroff.ledger.record import Entry
from shroff.ledger.spool import Spool

_RETRY_SECONDS: Final = 1.0
"""Seconds between two attempts while nothing can be written."""
_QUICK_NS: Final = 2_000_000
"""Up to this mean time of late commits a caller's thread may wait for one, nanoseconds."""
_WEIGHT: Final = 1 / 8
"""The weight of the last commit in that mean."""
_log = logging.getLogger(__name__)
_STOPPED = "the ledger's writer has stopped: restart the service."


class Writer:
    """Takes groups from the queue and commits them in order, until the queue is closed and empty.

    With a spool, groups go there while the database is away; `find` looks up a record as it is in
    the database. With a keyring, entries are sealed before they go to either.

    An event loop commits for itself by `settle` while the writer is `quick`: two changes of thread
    take as long as the processor's share of a commit.
    """

    def __init__(
        self,
        database: Backend,
        queue: Queue,
        commits: Commits,
        *,
        max_group: int,
        spool: Spool | None,
        find: Find,
        keyring: Keyring | None,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._queue = queue
        self._commits = commits
        self._max_group = max_group
        self._committer = Committer(database, commits)
        self.failure: str | None = None
        """Why the last group was not durable; None if it was, or if the next one can be."""
        # refused entries that may be durable all the same, with the head that their commit would
        # leave
        self._doubted: tuple[Head, list[Queued]] | None = None
        self.failover = (
            Failover(spool, commit=self._attempt, find=find, max_group=max_group) if spool else None
        )
        # held from taking a group until its callbacks are scheduled: groups keep their order
        self._turn = Lock()
        self._mean_ns: float | None = None
        self._thread = Thread(target=self._run, name="shroff-ledger", daemon=True)

    def start(self) -> None:
        """Prepare the database and start the thread.

        Raises:
            LedgerUnavailable: the database does not answer.
            ConfigurationError: its format is another, or the spool is of another ledger.
        """
        try:
            with unavailable("open the ledger"):
                self._committer.prepare(sealed=self._keyring is not None and self._keyring.ready)
            if self.failover is not None:
                self.failover.recover(self._committer.has)
        except BaseException:
            self._committer.disconnect()
            raise
        self._queue.open()
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits and end the thread."""
        self._queue.close()
        self._thread.join()
        # an event loop may be at the last group, which it has taken from the queue
        with self._turn:
            while len(self._queue):
                # a loop put its group back after the thread had ended
                self._step(self._take)
            if self.failover is not None:
                self.failover.stop()
            self._committer.disconnect()

    @property
    def quick(self) -> bool:
        """Whether an event loop may commit: the file is on this machine, and its disk is quick."""
        return (
            self._database.alone
            and self.failure is None
            and self._mean_ns is not None
            and self._mean_ns <= _QUICK_NS
        )

    def settle(self) -> None:
        """Commit the next group in the caller's thread, unless another one is at it, or another
        program writes: the writer's thread waits for that.
        """
        if self._turn.acquire(blocking=False):
            try:
                self._step(partial(self._take, wait=False))
            finally:
                self._turn.release()
        if len(self._queue):
            self._queue.notify()

    def _run(self) -> None:
        while not self._queue.ended:
            came = self._queue.wait(_RETRY_SECONDS)
            with self._turn:
                self._step(self._take if came else self._tend)

    def _step(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException:
            # even if a callback raised: nobody may wait for a writer that has stopped
            self.failure = _STOPPED
            self._queue.close()
            self._queue.fail([], _STOPPED)
            raise

    def _take(self, *, wait: bool = True) -> None:
        """Settle the next group, if there is one; without `wait`, unless another program writes."""
        group = self._queue.take(self._max_group)
        if group:
            self._settle(group, wait=wait)

    def _tend(self) -> None:
        """See to the database while nothing is written."""
        if self.failure is None:
            self._look()
        else:
            self._prove()

    def _settle(self, group: list[Queued], *, wait: bool) -> None:
        try:
            entries = self._sealed(group)
            late = self._late()
            outcomes = [] if late else self._write(entries, wait=wait)
        except Occupied:
            # until the thread has committed, loops leave everything to it
            self._mean_ns = None
            self._queue.put_back(group)
        except LedgerUnavailable as error:
            self._committer.disconnect()
            self._doubt(group)
            self._refuse(str(error))
            self._queue.fail(group, str(error))
        except BaseException:
            # unexpected: the thread ends, and logs it
            self._queue.fail(group, _STOPPED)
            raise
        else:
            if late:
                self._resolve_late(late, group)
                return
            if self.failover is not None:
                self.failover.note(entries)
            self._take_again()
            resolve(zip(group, outcomes, strict=True))

    def _sealed(self, group: list[Queued]) -> list[Entry]:
        """The entries as they are written."""
        if self._keyring is None:
            return [queued.entry for queued in group]
        seal = self._keyring.seal
        return [seal(queued.entry) for queued in group]

    def _look(self) -> None:
        """Check that the database is still there while nothing is written."""
        try:
            self._database.kept()
        except LedgerUnavailable as error:
            self._committer.disconnect()
            self._refuse(str(error))

    def _prove(self) -> None:
        """Commit an empty group after a failure, to see whether the ledger can be written again.

        Clients may have turned elsewhere, so that no payment would show it. An active failover does
        this itself.
        """
        if self.failover is not None and self.failover.active:
            return
        try:
            late = self._late()
            if late:
                self._resolve_late(late, [])
            with unavailable("write the ledger", self._committer.error):
                self._committer.commit([])
        except LedgerUnavailable:
            self._committer.disconnect()
            self._committer.undecided = None
        else:
            self._take_again()

    def _refuse(self, sentence: str) -> None:
        """Log once that entries are refused; health checks report it as long as it lasts."""
        if self.failure is None:
            _log.error(
                "%s Payments are refused meanwhile.", sentence, extra={"event": "ledger_refuses"}
            )
        self.failure = sentence

    def _take_again(self) -> None:
        if self.failure is not None:
            _log.warning("the ledger can be written again.", extra={"event": "ledger_takes_again"})
        self.failure = None

    def _doubt(self, group: list[Queued]) -> None:
        """Remember a refused group that may be in the ledger all the same; never with a spool."""
        if self._committer.undecided is not None and self.failover is None:
            last, outcomes = self._committer.undecided
            done = [
                queued for queued, outcome in zip(group, outcomes, strict=True) if outcome is None
            ]
            self._doubted = last, done
        self._committer.undecided = None

    def _late(self) -> list[Queued]:
        """Refused entries that turn out to be in the ledger."""
        if self._doubted is None:
            return []
        last, group = self._doubted
        with unavailable("look for what was written last", self._committer.error):
            landed = self._committer.has(last)
        self._doubted = None
        if landed:
            self._commits.end = last
        return group if landed else []

    def _resolve_late(self, late: list[Queued], group: list[Queued]) -> None:
        """Refuse a group computed without entries that were durable after all; resolve those."""
        self._queue.hold()
        self._queue.fail(
            group,
            "what was written before it has only now been found in the ledger: send it again.",
        )
        resolve([(queued, None) for queued in late], self._queue)
        self._queue.resume()

    def _write(self, entries: Sequence[Entry], *, wait: bool) -> list[Outcome]:
        """Make entries durable in the database, or in the spool while that is away."""
        failover = self.failover
        spooled = failover.take(entries) if failover is not None and failover.active else None
        if spooled is not None:
            return spooled
        try:
            return self._attempt(entries, wait=wait)
        except LedgerAway as error:
            if failover is None:
                raise
            failover.begin(self._committer.end, str(error))
        return self._write(entries, wait=wait)

    def _attempt(self, entries: Sequence[Entry], *, wait: bool = True) -> list[Outcome]:
        """Commit entries; after a failure, the next attempt opens a new connection."""
        began = perf_counter_ns()
        try:
            with unavailable("write the ledger", self._committer.error):
                outcomes = self._committer.commit(entries, wait=wait)
        except LedgerUnavailable:
            self._committer.disconnect()
            self._commits.failed += 1
            raise
        took = perf_counter_ns() - began
        self._commits.done(len(entries), took)
        mean = self._mean_ns
        self._mean_ns = took if mean is None else mean + (took - mean) * _WEIGHT
        return outcomes
