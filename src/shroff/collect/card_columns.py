"""Columns that hold card numbers in the open, told from columns of other long numbers by how many
of their values pass Luhn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Final

import polars as pl

from shroff.collect.cards import (
    ISSUED,
    LEAST_NUMBER,
    MAX_DIGITS,
    MIN_DIGITS,
    card_candidates,
    holds_card_number,
    luhn,
    printed_digits,
)

_FEWEST_NUMBERS: Final = 20
"""The fewest numbers by which a column is judged: one random number in ten passes Luhn."""
_LUHN_SHARE: Final = 0.1
_MOST_JUDGED: Final = 10_000
"""Different texts with a long number among words that are read one by one to judge a column."""
_LONG_NUMBER: Final = r"(?:\d[^\dA-Za-z]*){12}\d"
"""A number of thirteen digits or more, whatever stands between them but letters."""
_PLAIN: Final = f"^[0-9]{{{MIN_DIGITS},{MAX_DIGITS}}}$"


@dataclass(frozen=True)
class LongNumbers:
    """The long numbers among a column's texts, and how many different texts have such.

    `rows`: how many rows have one, of `filled` that have any text. `numbers` are of any issuer,
    `pass_luhn` those of them with a valid check digit; `issued`, `issued_pass` and `chance` tell of
    those by an issuer how many there are, have a valid one, and would by chance.
    """

    texts: pl.Series
    filled: int
    rows: int
    numbers: int
    pass_luhn: int
    issued: int
    issued_pass: int
    chance: float

    @property
    def are_cards(self) -> bool:
        """Whether the column holds card numbers: most of its long numbers pass Luhn, and these are
        most of the column or at least twenty.
        """
        many = 2 * self.rows > self.filled or self.numbers >= _FEWEST_NUMBERS
        return many and 2 * self.pass_luhn > self.numbers

    @property
    def are_none(self) -> bool:
        """Whether no value is a card number: many fit an issuer, and few of them pass Luhn."""
        return self.issued >= _FEWEST_NUMBERS and self._by_chance

    @property
    def _by_chance(self) -> bool:
        # three standard deviations
        spread = sqrt(self.chance * (1 - _LUHN_SHARE))
        return self.issued_pass <= self.chance + 3 * spread

    def card_rows(self, column: pl.Series) -> pl.Series | None:
        """Which values of the column hold a card number; None where no more do than by chance."""
        if self._by_chance and 2 * self.issued_pass <= self.issued:
            return None
        held = self.texts.filter([holds_card_number(text) for text in self.texts])
        return column.is_in(held.implode()).fill_null(value=False)


def long_numbers_of(column: pl.Series) -> LongNumbers:
    """The long numbers of a String column, alone or among words."""
    filled = len(column) - column.null_count()
    long = _long(column).alias("text")
    if long.is_empty():
        return LongNumbers(long, filled, 0, 0, 0, 0, 0, 0.0)
    counted = long.value_counts(name="rows")
    texts, rows = counted["text"], counted["rows"]
    digits = texts.str.replace_all("[ -]", "")
    plain = digits.str.contains(_PLAIN)
    alone = digits.filter(plain)
    issued = alone.str.contains(f"^(?:{ISSUED.pattern})$")
    valid = _passes_luhn(alone)
    found = [
        (row, card_candidates(text), printed_digits(text))
        for text, row in zip(
            texts.filter(~plain).head(_MOST_JUDGED), rows.filter(~plain), strict=False
        )
    ]
    found = [(row, cards, whole) for row, cards, whole in found if cards or whole]
    among = [cards for _, cards, _ in found if cards]
    passing = sum(any(map(luhn, cards)) for cards in among)
    others = sum(luhn(whole) for _, cards, whole in found if whole and not cards)
    return LongNumbers(
        texts=texts,
        filled=filled,
        rows=int(rows.filter(plain).sum()) + sum(row for row, _, _ in found),
        numbers=len(alone) + len(found),
        pass_luhn=int(valid.sum()) + passing + others,
        issued=int(issued.sum()) + len(among),
        issued_pass=int((issued & valid).sum()) + passing,
        chance=_LUHN_SHARE * int(issued.sum())
        + sum(1 - (1 - _LUHN_SHARE) ** len(cards) for cards in among),
    )


def looks_like_card_numbers(column: pl.Series) -> bool:
    """Whether a String column holds card numbers: 13–19 digits with a valid Luhn digit (ISO/IEC
    7812-1), alone or among words.

    It does when most of its different long numbers pass Luhn, and these are most of the column or
    at least twenty. One random number in ten passes, so a column of numeric ids does not look like
    card numbers.

    >>> looks_like_card_numbers(pl.Series(["4111 1111 1111 1111", "5500-0000-0000-0004"]))
    True
    >>> looks_like_card_numbers(pl.Series(["4111111111111112", "5500000000000005"]))
    False
    """
    return long_numbers_of(column).are_cards


def holds_card_numbers(column: pl.Series) -> bool:
    """Whether a column of texts or numbers that is kept as it is has card numbers, alone or among
    other words: most of its long numbers are some, were it the only one.

    >>> holds_card_numbers(pl.Series(["shop", "pay 4111 1111 1111 1111"]))
    True
    >>> holds_card_numbers(pl.Series([4111111111111111.0, 0.5]))
    True
    >>> holds_card_numbers(pl.Series(["4111111111111112", "5500000000000005"]))
    False
    """
    texts = numbers_as_text(column) if column.dtype.is_numeric() else column
    long = _long(texts).unique()
    return 2 * sum(map(holds_card_number, long)) > len(long)


def numbers_as_text(column: pl.Series) -> pl.Series:
    """The numbers that could be card numbers as texts, and other numbers as an empty one: a float
    beyond 2^53 has lost its check digit.
    """
    most = 2**53 if column.dtype.is_float() else 10**MAX_DIGITS - 1
    size = column.cast(pl.Float64).abs()
    could = size.is_between(LEAST_NUMBER, float(most)) & (size % 1 == 0)
    whole = column.set(~could, None).cast(pl.Int128).abs().cast(pl.String)
    return whole.fill_null("").set(column.is_null(), None)


def long_numbers(table: pl.DataFrame, columns: Iterable[str]) -> tuple[str, ...]:
    """Columns of long numbers that are no card numbers, whose values are not judged singly.

    At least twenty different values could be card numbers by issuer and length, and no more of them
    pass Luhn than would by chance (three standard deviations).
    """
    return tuple(name for name in columns if _of(table[name]).are_none)


def _of(column: pl.Series) -> LongNumbers:
    return long_numbers_of(numbers_as_text(column) if column.dtype.is_numeric() else column)


def _long(column: pl.Series) -> pl.Series:
    long = column.filter(column.str.len_bytes() >= MIN_DIGITS)
    return long.filter(long.str.contains(_LONG_NUMBER))


def _passes_luhn(digits: pl.Series) -> pl.Series:
    # the check digit is the last one: count positions from the right
    sums = pl.Series([0]).new_from_index(0, len(digits))
    padded = digits.str.zfill(20)
    for position in range(20):
        digit = padded.str.slice(position, 1).cast(pl.Int64)
        doubled = digit * 2 if position % 2 == 0 else digit
        sums = sums + doubled - 9 * (doubled > 9).cast(pl.Int64)
    return sums % 10 == 0
