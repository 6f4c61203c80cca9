"""ISO 20022 credit transfers (`pacs.008`, `pain.001`) as a table, in the order of the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from operator import ne
from pathlib import Path
from typing import Final

from shroff.collect.mappings import Iso20022
from shroff.collect.message_rows import (
    MessageRows,
    MessageTable,
    UnfitMessage,
    message_files,
    placed,
)
from shroff.collect.remote import Bookmark, TableChunk
from shroff.collect.schema import Schema
from shroff.collect.xml_walk import XmlWalk
from shroff.errors import did_you_mean
from shroff.location import Location

MAX_KEPT_CHARS: Final = 1_000_000
"""The most characters of mapped elements of one payment."""
_MAX_PATHS: Final = 2_000
_MAX_PATH_CHARS: Final = 200
"""The most paths that are remembered, to suggest one for another that is not there, and how long
they are.
"""
_CHUNK_BYTES: Final = 65_536
_WANTED: Final = "a message pacs.008 or pain.001"
_MESSAGES: Final = {
    "FIToFICstmrCdtTrf": ("pacs.008", "CdtTrfTxInf"),
    "CstmrCdtTrfInitn": ("pain.001", "PmtInf/CdtTrfTxInf"),
}
"""Elements of messages, with the kind of message and the path of a payment in it."""
_TOPS: Final = frozenset(path.partition("/")[0] for _, path in _MESSAGES.values())
"""Where paths begin that only one kind of message has."""
_DECLARED: Final = re.compile(r"[a-z]{4}\.\d{3}(?:\.\d{3}\.\d{2})?\Z")
_ELEMENT: Final = re.compile(r"[A-Za-z]\w{0,60}", re.ASCII)
_REPEATED: Final = ("Ustrd", "AdrLine")
"""Elements that a payment may have several of: the lines of a text."""


class CreditTransfers(MessageTable):
    """Credit transfers of a file, or of the files of a folder.

    Attributes:
        seen: what the files have that were read so far.
    """

    def __init__(self, location: Location, mapping: Iso20022, schema: Schema) -> None:
        super().__init__(location, mapping.columns, schema)
        self._mapping = mapping
        self.seen = _Seen()

    def chunks(
        self, names: Sequence[str] | None, *, key: str | None, after: Bookmark | None
    ) -> Iterator[TableChunk]:
        """The payments; a later read begins anew."""
        rows = MessageRows(
            self._schema,
            names,
            self._mapped,
            lambda column: f"`{' or '.join(self._mapping.paths[column])}`",
        )
        seen = self.seen = _Seen()
        for file in message_files(self._location, ".xml"):
            yield from _read(file, rows, self._mapping, seen)
        paths = {
            column: paths
            for column, paths in self._mapping.paths.items()
            if names is None or column in names
        }
        yield rows.last(self._location, _WANTED, list(seen.lacking(paths)))


class _Seen:
    """What all files have.

    Attributes:
        payments: how many there are, by the path that they are at.
        mapped: the mapped paths that some payment has.
    """

    def __init__(self) -> None:
        self.payments: Counter[str] = Counter()
        self.mapped: set[str] = set()
        self._others: set[str] = set()

    def add(self, path: str) -> None:
        """Remember a path that is not mapped."""
        if len(self._others) < _MAX_PATHS and len(path) <= _MAX_PATH_CHARS:
            self._others.add(path)

    def lacking(self, mapped: Mapping[str, Sequence[str]]) -> Iterator[str]:
        """A notice for each path that no payment has, though its kind of message was there."""
        for column, paths in mapped.items():
            for path in paths:
                top = path.partition("/")[0]
                many = sum(
                    many
                    for at, many in self.payments.items()
                    if top not in _TOPS or top == at.partition("/")[0]
                )
                if many and path not in self.mapped:
                    near = did_you_mean(path, filter(partial(_alike, path), self._others)) or "."
                    yield f"`{path}` (column `{column}`) is in 0 of {many:,} payments{near}"


def _alike(path: str, other: str) -> bool:
    """Whether all elements of both paths but one are the same."""
    one, two = path.split("/"), other.split("/")
    return len(one) == len(two) and sum(map(ne, one, two)) == 1


def _read(file: Path, rows: MessageRows, mapping: Iso20022, seen: _Seen) -> Iterator[TableChunk]:
    transfers = _Transfers(rows, mapping, seen)
    walk = XmlWalk(transfers.started, transfers.ended)
    chunk = b"first"
    with placed(file, transfers.place), file.open("rb") as source:
        while chunk:
            chunk = source.read(_CHUNK_BYTES)
            walk.feed(chunk)
            if rows.full:
                yield rows.take()
        transfers.finish()


class _Transfers:
    """The state at a place of a file: its path, and the mapped texts that apply there."""

    def __init__(self, rows: MessageRows, mapping: Iso20022, seen: _Seen) -> None:
        self._rows, self._seen = rows, seen
        self._columns = mapping.paths
        self._wanted = {path for paths in self._columns.values() for path in paths}
        self._attributes = {path for path in self._wanted if "/@" in path}
        self._outside: list[str] = []
        self._path: list[str] = []
        self._texts: dict[str, list[str]] = {}
        self._transfer: str | None = ""
        self._declared = ""
        self._inside = False
        self._messages = self._transfers = self._kept = 0

    def place(self) -> str:
        """The place in the file, in words."""
        payment = f", payment {self._transfers:,}" if self._transfers else ""
        return f"message {max(self._messages, 1):,}{payment}"

    def finish(self) -> None:
        """Count a file without a message."""
        if not self._messages:
            self._rows.leave_out("a file without a message")

    def started(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element starts."""
        if not self._inside:
            self._outer(name, attributes)
            return
        path = f"{self._path[-1]}/{name}" if self._path[-1] else name
        self._path.append(path)
        if self._transfer is None:
            return
        if path == self._transfer:
            self._transfers += 1
            self._seen.payments[path] += 1
        if attributes and self._attributes:
            for attribute, value in attributes.items():
                self._keep(f"{path}/@{attribute.rpartition(':')[2]}", value)

    def ended(self, text: str | None) -> None:
        """The innermost open element ends."""
        if not self._inside:
            self._outside.pop()
            return
        path = self._path.pop()
        if text and self._transfer is not None:
            self._keep(path, text)
        if path == self._transfer:
            self._rows.add({name: self._value(name) for name in self._columns}, minor=False)
        if path in (self._transfer, "PmtInf"):
            self._forget(f"{path}/")
        if not path:
            self._forget("")
            self._inside = False
            self._transfers = 0

    def _outer(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element outside of messages starts, or a message does."""
        declared = [
            found[0]
            for attribute, value in attributes.items()
            if attribute.partition(":")[0] == "xmlns" and (found := _DECLARED.search(value))
        ]
        in_document = bool(self._outside) and self._outside[-1] == "Document"
        if in_document or name in _MESSAGES:
            self._messages += 1
            said = (declared or [self._declared if in_document else ""])[0]
            kind, self._transfer = _MESSAGES.get(name, ("", None))
            if not kind:
                shown = said or (name if _ELEMENT.fullmatch(name) else "another element")
                self._rows.leave_out(f"`{shown}`")
            elif said and not said.startswith(kind):
                raise UnfitMessage(f"expected `{name}` in {kind}, got it in `{said}`")
            self._inside, self._path = True, [""]
            return
        self._declared = declared[0] if declared else ""
        self._outside.append(name)

    def _keep(self, path: str, text: str) -> None:
        if path not in self._wanted:
            self._seen.add(path)
            return
        self._seen.mapped.add(path)
        if path in self._texts and path.rpartition("/")[2] not in _REPEATED:
            raise UnfitMessage(f"expected one `{path}` in a payment, got several")
        self._kept += len(text)
        if self._kept > MAX_KEPT_CHARS:
            raise UnfitMessage(
                f"expected at most {MAX_KEPT_CHARS:,} characters in the mapped elements of a "
                "payment, got more"
            )
        self._texts.setdefault(path, []).append(text)

    def _value(self, column: str) -> str | None:
        found = (self._texts.get(path) for path in self._columns[column])
        return next((" ".join(texts) for texts in found if texts), None)

    def _forget(self, start: str) -> None:
        for path in [path for path in self._texts if path.startswith(start)]:
            self._kept -= sum(map(len, self._texts.pop(path)))
