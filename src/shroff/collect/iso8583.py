"""ISO 8583 messages as a table, by pyiso8583: a row per message, in the order of the file.

Source: ISO 8583:1987 for the meaning of the elements with times and amounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

from shroff.collect.mappings import Iso8583
from shroff.collect.message_rows import (
    MessageRows,
    MessageTable,
    UnfitMessage,
    message_files,
    placed,
)
from shroff.collect.remote import Bookmark, TableChunk
from shroff.collect.schema import Schema
from shroff.errors import ConfigurationError, MissingExtra
from shroff.location import FORMS, Location

MAX_MESSAGE_BYTES: Final = 65_535
_PREFIX_BYTES: Final = {"2 bytes": 2, "4 bytes": 4, "4 digits": 4, "none": 0}
_TYPE: Final = re.compile(r"[0-9]{4}")
_UTC: Final = ("7",)
"""The element of the transmission time, which is in UTC."""
_MONTH_TO_SECOND: Final = 10
_YEAR_TO_SECOND: Final = 12
_CENTURY_TO_SECOND: Final = 14
"""Digits of a time without a year, with a year of two digits, and of four."""


class CardMessages(MessageTable):
    """Card messages of a file, or of the files of a folder."""

    def __init__(self, location: Location, mapping: Iso8583, schema: Schema) -> None:
        super().__init__(location, mapping.columns, schema)
        self._mapping = mapping
        self._since = _since(location)
        self._times = {
            name for name, scale in schema.scales.items() if scale == "time"
        } & mapping.numbers.keys()

    def chunks(
        self, names: Sequence[str] | None, *, key: str | None, after: Bookmark | None
    ) -> Iterator[TableChunk]:
        """The messages; a later read begins anew."""
        decode = Decoder(self._mapping)
        rows = MessageRows(self._schema, names, self._mapped, self._named)
        without = {name: 0 for name in self._mapped if names is None or name in names}
        for file in message_files(self._location):
            yield from self._read(file, decode, rows, without)
        notices = [
            f"{self._named(name)} (column `{name}`) is in 0 of {many:,} messages."
            for name, many in without.items()
            if many
        ]
        wanted = f"a message of type {' or '.join(self._mapping.types)} (Iso8583(types=…))"
        yield rows.last(self._location, wanted, notices)

    def _read(
        self, file: Path, decode: Decoder, rows: MessageRows, without: dict[str, int]
    ) -> Iterator[TableChunk]:
        """The payments of a file; `without` counts the messages without a column, as long as none
        has it.
        """
        number = 1
        with placed(file, lambda: f"message {number:,}"), file.open("rb") as source:
            for message in messages_of(source, self._mapping.prefix):
                elements = decode(message)
                if (kind := elements["t"]) in self._mapping.types:
                    values = self._values(elements)
                    rows.add(values, minor=True)
                    for name in [name for name in without if values[name]]:
                        del without[name]
                    for name in without:
                        without[name] += 1
                else:
                    rows.leave_out(f"`{kind}`" if _TYPE.fullmatch(kind) else "another text")
                number += 1
                if rows.full:
                    yield rows.take()

    def _named(self, column: str) -> str:
        numbers = self._mapping.numbers[column]
        return f"data element{'s' if len(numbers) > 1 else ''} {' and '.join(numbers)}"

    def _values(self, elements: Mapping[str, str]) -> dict[str, str | None]:
        values: dict[str, str | None] = {}
        for name, numbers in self._mapping.numbers.items():
            texts = [elements.get(number, "").strip() for number in numbers]
            whole = all(texts)
            if whole and name in self._times:
                values[name] = self._time(name, "".join(texts))
            else:
                values[name] = "-".join(texts) if whole else None
        return values

    def _time(self, column: str, digits: str) -> str:
        """A time in ISO 8601, in UTC if the element is."""
        zone = "Z" if self._mapping.numbers[column] == _UTC else ""
        if digits.isascii() and digits.isdigit():
            if len(digits) == _MONTH_TO_SECOND and self._since is None:
                raise UnfitMessage(
                    f"{self._named(column)} names no year: expected the first day of the file "
                    f"in its location, as in {FORMS['iso8583']}"
                )
            found = _moment(digits, self._since or date.min)
            if found is not None:
                return f"{found.isoformat()}{zone}"
        raise UnfitMessage(f"expected a time in {self._named(column)}, got none")


class Decoder:
    """pyiso8583 with the dialect of a mapping."""

    def __init__(self, mapping: Iso8583) -> None:
        try:
            self._parser: Any = import_module("iso8583")
        except ImportError as error:
            raise MissingExtra(
                "ISO 8583 messages need a parser: `pip install 'shroff[messages]'`."
            ) from error
        specs: Any = import_module("iso8583.specs")
        base = specs.default if mapping.bitmap == "binary" else specs.default_ascii
        self._dialect = {
            number: known | dict(mapping.elements.get(number, {})) for number, known in base.items()
        }
        self._types = mapping.types

    def __call__(self, message: bytes) -> dict[str, str]:
        """The elements of a message, by their numbers; of one of another type at least that."""
        try:
            elements, _ = self._parser.decode(message, self._dialect)
        except self._parser.DecodeError as error:
            kind = error.doc_dec.get("t")
            if kind is not None and _TYPE.fullmatch(kind) and kind not in self._types:
                return {"t": kind}
            # its text has lengths and no data; its other attributes are dropped
            raise UnfitMessage(
                f"expected a message in the declared dialect, got an unfit {_field(error.field)} "
                f"({error.msg})"
            ) from None
        return dict(elements)


def _field(field: str) -> str:
    names = {"h": "header", "t": "type", "p": "primary bitmap", "1": "secondary bitmap"}
    return names.get(field, f"data element {field}")


def messages_of(source: IO[bytes], prefix: str) -> Iterator[bytes]:
    """The messages of a file in turn."""
    size = _PREFIX_BYTES[prefix]
    if not size:
        message = source.read(MAX_MESSAGE_BYTES + 1)
        if len(message) > MAX_MESSAGE_BYTES:
            raise UnfitMessage(f"expected at most {MAX_MESSAGE_BYTES:,} bytes, got more")
        yield message
        return
    while head := source.read(size):
        if len(head) < size:
            raise UnfitMessage(f"expected {size} bytes of its length, got a file that is cut off")
        length = int.from_bytes(head) if prefix != "4 digits" else _digits(head)
        if length > MAX_MESSAGE_BYTES:
            raise UnfitMessage(
                f"expected at most {MAX_MESSAGE_BYTES:,} bytes by its length ({prefix}), got more"
            )
        message = source.read(length)
        if len(message) < length:
            raise UnfitMessage(
                f"expected {length:,} bytes, as its length says, got a file that is cut off after "
                f"{len(message):,}"
            )
        yield message


def _digits(head: bytes) -> int:
    if not head.isdigit():
        raise UnfitMessage("expected its length in 4 digits, got others")
    return int(head)


def _since(location: Location) -> date | None:
    text = location.options.get("since")
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{location}: expected the first day of the messages, as in {FORMS['iso8583']}."
        ) from None


def _moment(digits: str, since: date) -> datetime | None:
    """A time from its digits; without a year, the first from a day on, within a year."""
    if len(digits) == _MONTH_TO_SECOND:
        years = [f"{year:04}" for year in (since.year, since.year + 1)]
    else:
        years = {_YEAR_TO_SECOND: ["20"], _CENTURY_TO_SECOND: [""]}.get(len(digits), [])
        since = date.min
    for year in years:
        try:
            found = datetime.strptime(year + digits, "%Y%m%d%H%M%S")
        except ValueError:
            continue
        if found.date() >= since:
            return found
    return None
