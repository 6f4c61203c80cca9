"""Messages as rows with exact amounts, or with an error that completes a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from shroff.collect.money import EXPONENT, alphabetic
from shroff.collect.remote import CHUNK_ROWS, Findings, TableChunk
from shroff.collect.schema import Schema
from shroff.errors import BadFile, one_line
from shroff.location import Location

MAX_CHUNK_CHARS: Final = 32_000_000
"""The most characters of a chunk: long texts end it before it has all its rows."""

_MAX_KINDS: Final = 50
"""The most kinds of messages that are counted by name, as a file may have any."""
_AMOUNT: Final = re.compile(r"\+?(?=\.?[0-9])([0-9]{0,18})(?:\.([0-9]{0,18}))?")
_MONEY: Final = pl.Decimal(38, 4)
"""The finest currency has four decimals."""


class UnfitMessage(ValueError):
    """What is wrong with a message; `placed` completes the sentence with its place."""


class MessageRows:
    """The rows of messages, in columns of text; the amount is an exact decimal number.

    Columns that are known later, such as the label, are null where no field is mapped to them.

    Args:
        names: the columns to keep; None for all.
        mapped: the columns that fields of the messages are mapped to.
        named: the name of a column's field in messages.
    """

    def __init__(
        self,
        schema: Schema,
        names: Sequence[str] | None,
        mapped: Iterable[str],
        named: Callable[[str], str],
    ) -> None:
        self._schema = schema
        self._named = named
        self._names = [
            name for name in columns_of(mapped, schema) if names is None or name in names
        ]
        needed = (schema.id, schema.time, schema.arrived_at, *schema.required)
        self._needed = [name for name in (*needed, schema.amount, schema.currency) if name]
        self._others: Counter[str] = Counter()
        self._total = 0
        self._clear()

    @property
    def full(self) -> bool:
        """Whether they are enough for a chunk."""
        return self._count >= CHUNK_ROWS or self._chars >= MAX_CHUNK_CHARS

    def add(self, values: Mapping[str, str | None], *, minor: bool) -> None:
        """Add a payment.

        Args:
            values: the text of each mapped column.
            minor: whether the amount is in minor units.

        Raises:
            UnfitMessage: a value that the payment needs is missing, or the amount is none.
        """
        for name in self._needed:
            if name in values and not values[name]:
                raise UnfitMessage(f"expected {self._named(name)} (column `{name}`), found none")
        amount = self._amount(values, minor=minor)
        for name in self._names:
            text = values.get(name)
            self._texts[name].append(text or None)
            self._chars += len(text or "")
        self._amounts.append(amount)
        self._count += 1
        self._total += 1

    def leave_out(self, kind: str) -> None:
        """Count a message that is no payment, by its kind."""
        known = kind in self._others or len(self._others) < _MAX_KINDS
        self._others[kind if known else "another kind"] += 1

    def last(self, location: Location, wanted: str, notices: Sequence[str]) -> TableChunk:
        """The last rows, with what was left out and what to check.

        Args:
            wanted: the messages that are payments, in words.

        Raises:
            BadFile: there were messages, and none of them was a payment.
        """
        if self._others and not self._total:
            kind, many = next(iter(self._others)), self._others.total()
            got = kind if many == 1 else f"none among {many:,}, of which the first is {kind}"
            raise BadFile(f"{location}: expected {wanted}, got {got}.")
        left_out = {
            f"{location}: expected {wanted}, got {kind}": many
            for kind, many in self._others.items()
        }
        return TableChunk(self.take().rows, None, Findings(left_out, notices))

    def take(self) -> TableChunk:
        """The rows added since the last call, without a bookmark: a later read begins anew."""
        amount = self._schema.amount
        columns = [
            pl.Series(name, self._amounts, dtype=_MONEY)
            if name == amount
            else pl.Series(name, texts, dtype=pl.String)
            for name, texts in self._texts.items()
        ]
        self._clear()
        return TableChunk(pl.DataFrame(columns), None)

    def _clear(self) -> None:
        self._texts: dict[str, list[str | None]] = {name: [] for name in self._names}
        self._amounts: list[Decimal] = []
        self._count = self._chars = 0

    def _amount(self, values: Mapping[str, str | None], *, minor: bool) -> Decimal:
        currency = str(self._schema.currency)
        code = alphabetic(values[currency] or "")
        if code is None:
            raise UnfitMessage(
                f"expected a currency of ISO 4217 in {self._named(currency)}, got another text"
            )
        field, text = self._named(self._schema.amount), values[self._schema.amount] or ""
        found = _AMOUNT.fullmatch(text)
        if found is None or (minor and not text.isdigit()):
            raise UnfitMessage(f"expected an amount of at most 18 digits in {field}, got none")
        if minor:
            return Decimal(text).scaleb(-EXPONENT[code])
        # zeros after the last minor unit do not change the amount
        if len((found[2] or "").rstrip("0")) > EXPONENT[code]:
            raise UnfitMessage(
                f"expected at most {EXPONENT[code]} decimals in {field}, as {code} has, got more"
            )
        return Decimal(f"{found[1] or 0}.{(found[2] or '')[:4] or 0}")


class MessageTable:
    """The messages of a file, or of the files of a folder, as a table.

    Args:
        mapped: the columns that fields of the messages are mapped to.
    """

    def __init__(self, location: Location, mapped: Iterable[str], schema: Schema) -> None:
        self._location = location
        self._mapped = tuple(mapped)
        self._schema = schema

    def columns(self) -> list[str]:
        """The mapped columns, and those that are known later."""
        return columns_of(self._mapped, self._schema)

    def count(self) -> None:
        """Unknown until all messages are read."""


def columns_of(mapped: Iterable[str], schema: Schema) -> list[str]:
    """The columns of a table of messages: the mapped ones, and those known later."""
    return list(dict.fromkeys([*mapped, *sorted(schema.later)]))


def message_files(location: Location, suffix: str = "") -> list[Path]:
    """The file of a location, or the files of its folder in order of their names.

    Raises:
        BadFile: there is none.
    """
    place = Path(location.messages or "")
    if place.is_dir():
        files = sorted(
            one
            for one in place.iterdir()
            if one.is_file() and one.name.lower().endswith(suffix) and one.name[0] != "."
        )
    else:
        files = [place] if place.is_file() else []
    if not files:
        raise BadFile(f"{location}: expected a file of messages or a folder of them, found none.")
    return files


@contextmanager
def placed(file: Path, place: Callable[[], str]) -> Iterator[None]:
    """Complete an error with the file and the message."""
    try:
        yield
    except UnfitMessage as error:
        raise BadFile(f"{one_line(file)}: {place()}: {error}.") from None
    except OSError as error:
        raise BadFile(
            f"{one_line(file)}: expected a file that can be read, got: {error.strerror}."
        ) from None
