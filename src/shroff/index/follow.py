"""An index follows its ledger: what is new comes in, who was forgotten goes out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from sqlite3 import Connection
from threading import Event
from typing import Final

from shroff.collect import Schema
from shroff.control import SubjectKeys
from shroff.index.changes import remove_gone, take
from shroff.index.file import IndexFile, mark_of
from shroff.index.rows import shape_of
from shroff.ledger import Head, Keyring, Ledger
from shroff.ledger.keyring import Period

_PART_RECORDS: Final = 5_000


class IndexFollower:
    """Brings an index up to date with a ledger.

    Args:
        url: of the ledger, which is only read; `control`: of its control database, which has the
            keys of sealed records.
        schema: of its payments: says which label stands.
        keys: the columns that payments are found by, see `found_by`.
    """

    def __init__(
        self, file: IndexFile, url: str, control: str, schema: Schema, keys: Sequence[str]
    ) -> None:
        self._file = file
        self._keyring = Keyring()
        self._ledger = Ledger(url, keyring=self._keyring)
        self._subjects = SubjectKeys(control)
        self._schema = schema
        self._keys = tuple(keys)
        self._shape = shape_of(schema, keys)
        self._taken: str | None = None

    def catch_up(self, stop: Event | None = None) -> int:
        """Take all records that the ledger has now; returns how many were new.

        Raises:
            LedgerUnavailable, ControlUnavailable, IndexUnavailable: what was taken is kept.
            UnreadableRecord: the ledger was changed.
        """
        self._file.make()
        taken = 0
        while stop is None or not stop.is_set():
            new = self.step()
            taken += new
            if not new:
                break
        return taken

    def step(self) -> int:
        """Forget who was forgotten, and take the next records, at most a few thousand; returns how
        many.
        """
        keys = self._refresh()
        with self._file.reading() as connection:
            mark = mark_of(connection)
        if mark.shape != self._shape or not self._ledger.holds(mark.head):
            with self._file.changing() as connection:
                self._file.begin_anew(connection, self._shape)
                mark = mark_of(connection)
        if mark.keys != keys:
            self._forget(keys)
        part = list(islice(self._ledger.raw(after=mark.head.seq), _PART_RECORDS))
        if not part:
            return 0
        with self._file.changing() as connection:
            before = mark_of(connection)
            if (before.shape, before.head) != (mark.shape, mark.head):
                return len(part)  # another process has taken them
            take(connection, self._schema, self._keys, map(self._ledger.opened, part))
            _move(connection, Head(part[-1].seq, part[-1].chain))
        return len(part)

    def _refresh(self) -> str:
        """Read the keys of subjects again if they changed; returns a name for what they are."""
        mark = str(tuple(self._subjects.mark()))
        if mark != self._taken:
            self._keyring.take(self._subjects.periods())
            self._taken = mark
        return mark

    def _forget(self, keys: str) -> None:
        if _remove_gone(self._file, self._keyring.periods):
            with self._file.changing() as connection:
                connection.execute("UPDATE mark SET keys = ?", (keys,))


def forget_gone(file: IndexFile, control: str) -> None:
    """Remove from an index, if there is one, who was forgotten by now, also where nothing follows.

    Raises:
        IndexUnavailable, ControlUnavailable: it does not answer; the next step does the same.
    """
    if file.path.exists():
        _remove_gone(file, SubjectKeys(control).periods())


def _remove_gone(file: IndexFile, periods: Collection[Period]) -> bool:
    """Remove payments whose keys were destroyed; whether no file has anything of them left."""
    with file.changing() as connection:
        remove_gone(connection, periods)
    return file.scrub()


def _move(connection: Connection, head: Head) -> None:
    connection.execute("UPDATE mark SET seq = ?, chain = ?", head)
