"""The ids that a ledger with one writer has: read in the background when the ledger is long."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from threading import Event, Thread
from typing import Final

from sqlalchemy import TextClause, text

from shroff.errors import LedgerUnavailable
from shroff.ledger.database import IS_LABEL, IS_OTHER, IS_PAYMENT, RECORDS, Backend, unavailable
from shroff.ledger.id_filter import IdFilter, filter_key
from shroff.ledger.reader import reading
from shroff.ledger.record import Kind

_AT_ONCE_RECORDS: Final = 50_000
"""The most records whose ids are read while the ledger is opened: about 0.05 seconds."""
_PAGE_IDS: Final = 10_000
_SEPARATOR: Final = "\0"
"""The one character that no id contains."""
_log = logging.getLogger(__name__)


def _page(condition: TextClause, key: str) -> TextClause:
    """The query for the filter keys of the next ids, as one text: a row of Python objects for each
    id would take three times as long, and hold up the payments that are decided meanwhile.
    """
    return text(
        f"SELECT group_concat(key, char(0)), max(payment_id), count(*) FROM ("
        f"SELECT DISTINCT payment_id, {key} AS key FROM {RECORDS.name} "
        f"WHERE {condition.text} AND payment_id >= :least ORDER BY payment_id LIMIT :ids)"
    )


# one for each index, which alone is read; the keys are those of `filter_key`
_PAGES: Final = (
    _page(IS_PAYMENT, "payment_id"),
    _page(IS_OTHER, "kind || ' ' || payment_id"),
    _page(IS_LABEL, "'label ' || payment_id"),
)


class KnownIds:
    """Says which events a SQLite ledger certainly lacks.

    Until the ids of a long ledger have been read, it may have each: then its index is asked.

    Args:
        records: how many the ledger has.

    Raises:
        LedgerUnavailable: the ids of a short ledger cannot be read.
    """

    def __init__(self, database: Backend, records: int) -> None:
        self._database = database
        self._filter = IdFilter()
        self._stopping = Event()
        self.complete = False
        """Whether the ids of all records have been read."""
        self._thread: Thread | None = None
        if records <= _AT_ONCE_RECORDS:
            self._read(records)
        else:
            self._thread = Thread(
                target=self._read_later, args=(records,), name="shroff-ids", daemon=True
            )
            self._thread.start()

    def add(self, payment_id: str, kind: Kind) -> None:
        """Remember an event that is about to be written."""
        self._filter.add(filter_key(payment_id, kind))

    def may_have(self, payment_id: str, kind: Kind) -> bool:
        """Whether the ledger may have an event; False is certain."""
        return not self.complete or self._filter.may_have(filter_key(payment_id, kind))

    def stop(self) -> None:
        """Read no more ids."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _read_later(self, records: int) -> None:
        try:
            self._read(records)
        except LedgerUnavailable as error:
            _log.warning("%s Each look-up asks the ledger's index instead.", error)

    def _read(self, records: int) -> None:
        """Add the ids of all records to the filter at once: others are added to it meanwhile."""
        # what is written from now on is added by who writes it
        self._filter.add_before(self._keys(), records)
        self.complete = not self._stopping.is_set()

    def _keys(self) -> Iterator[list[str]]:
        """The filter keys of all records, by pages, each read in a statement of its own.

        So no transaction stays open, which would keep the write-ahead log from being emptied.
        """
        with unavailable("read the ledger's ids"), reading(self._database) as connection:
            for page in _PAGES:
                least, found = "", _PAGE_IDS
                # the last id of a page comes again: its records may be of several kinds
                while found == _PAGE_IDS and not self._stopping.is_set():
                    given = {"least": least, "ids": _PAGE_IDS}
                    keys, least, found = connection.execute(page, given).one()
                    if found:
                        yield keys.split(_SEPARATOR)
