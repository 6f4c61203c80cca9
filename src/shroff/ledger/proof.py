"""Verifies a ledger's chain, while its records are read for another purpose or for this alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import Connection, func, select

from shroff.errors import BrokenChain, UnreadableRecord
from shroff.ledger.database import HEAD, METADATA, RECORDS, Backend, Head, head, unavailable
from shroff.ledger.noted import Noted
from shroff.ledger.reader import ALL_RECORDS, pages, reading
from shroff.ledger.record import StoredEntry, link, stored
from shroff.ledger.shape import require_shape, require_sound

Shown = Callable[[Iterable[StoredEntry]], Iterator[StoredEntry]]

_LOWEST_AND_HIGHEST = [select(one(RECORDS.c.seq)).scalar_subquery() for one in (func.min, func.max)]


class Proof:
    """Verifies that each record follows from the one before, and that the tables are the ledger's.

    Args:
        after: a record that counts as verified.
        since: a later record that was noted elsewhere.
        tolerant: go on at a break, and keep the fault as `broken`; nothing after it is verified.
        shown: how `read` gives verified records; by default as they are in the database.
    """

    def __init__(
        self,
        database: Backend,
        after: Head,
        since: Noted | None = None,
        *,
        tolerant: bool = False,
        shown: Shown = iter,
    ) -> None:
        self._database = database
        self._shown = shown
        self._since = since
        self._tolerant = tolerant
        self._sound = after.seq > 0
        self.head = after
        """The last verified record."""
        self.broken: str | None = None
        """The first fault found."""

    def read(self, after: int) -> Iterator[StoredEntry]:
        """The records after one, in order, up to the present last one; each is verified first.

        Unverified records before that one are read and verified too.

        Raises:
            BrokenChain: a record was changed, removed, added or moved (names the first); or the
                tables are not as the ledger made them.
            LedgerUnavailable: the database does not answer.
        """
        return self._shown(self._verified(after))

    def _verified(self, after: int) -> Iterator[StoredEntry]:
        doing = "verify the ledger"
        with unavailable(doing), reading(self._database) as connection:
            last, newest = self._begin(connection)
        for row in pages(self._database, doing, ALL_RECORDS, min(after, self.head.seq), last.seq):
            entry = stored(row)
            if entry.seq > self.head.seq and self.broken is None:
                self._follow(entry)
            if entry.seq > after:
                yield entry
        self._require_end(last, newest)

    def finish(self, tick: Callable[[], None] = lambda: None) -> Head:
        """Verify what was not read; returns the last record.

        Args:
            tick: called for each record; may raise, to stop.

        Raises:
            BrokenChain, LedgerUnavailable: as `read`.
        """
        for _ in self._verified(self.head.seq):
            tick()
        return self.head

    def _begin(self, connection: Connection) -> tuple[Head, int]:
        """The last record as the ledger noted it, and the highest number in the table."""
        head(connection)  # both formats chain alike
        seq, chain, lowest, highest = connection.execute(
            select(HEAD.c.seq, HEAD.c.chain, *_LOWEST_AND_HIGHEST)
        ).one()
        if self.broken is None:
            try:
                require_shape(connection, METADATA)
                if self._since is not None:
                    self._since.require_reached(seq)
                    self._since.require_same(*self.head)
                if not self._sound:
                    require_sound(connection)
                    self._sound = True
            except BrokenChain as error:
                self._fail(error)
            if lowest is not None and lowest < 1:
                self._changed(lowest, "was not written by the ledger, whose first one is 1")
        return Head(seq, chain), highest or 0

    def _follow(self, entry: StoredEntry) -> None:
        seq = self.head.seq + 1
        if entry.seq != seq:
            self._changed(seq, "is missing")
        elif entry.chain != (chain := link(self.head.chain, seq, entry)):
            self._changed(seq, "does not follow from the record before it")
        else:
            self.head = Head(seq, chain)
            if self._since is not None:
                try:
                    self._since.require_same(seq, chain)
                except BrokenChain as error:
                    self._fail(error)

    def _require_end(self, last: Head, newest: int) -> None:
        if self.broken is not None:
            return
        if self.head.seq < last.seq:
            self._changed(self.head.seq + 1, "is missing")
        elif newest > last.seq:
            self._changed(last.seq + 1, "was not written by the ledger")
        elif self.head.seq == last.seq and self.head.chain != last.chain:
            self._changed(last.seq, "is not the one that was written last")

    def _changed(self, seq: int, how: str) -> None:
        self._fail(BrokenChain(f"the ledger was changed: record {seq} {how}."))

    def _fail(self, error: BrokenChain) -> None:
        if not self._tolerant or isinstance(error, UnreadableRecord):
            raise error
        self.broken = self.broken or str(error)
