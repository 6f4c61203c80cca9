"""Card numbers in the open: columns that hold them, and a single value that is one.

A card number (ISO/IEC 7812-1) has 13 to 19 digits, the first of which name its issuer, and the last of which makes the
Luhn sum a multiple of ten. One random number in ten passes Luhn. A column shows by its many values whether it holds
card numbers. A single value does not, so a live payment is judged by the issuer and the length too, which leaves one
random 16-digit number in thirty; and not at all in columns whose values in training were long numbers that are no card
numbers. Such columns are found once, when a bundle is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import sqrt
from typing import Final

import polars as pl

from shroff.errors import ConfigurationError

_LONGEST_PRINTED: Final = 40
"""Bytes of a card number however it is printed; what is longer is another thing."""
_ENOUGH: Final = 20
"""So many card numbers are no accident: one random number in ten passes Luhn, not most of twenty."""
_CHANCE: Final = 0.1
_SHORTEST: Final = 13

_PRINTED: Final = re.compile(r"[ -]*[2-9](?:[ -]*[0-9]){12,18}[ -]*")
_ISSUED: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|5[1-5][0-9]{14}"  # Mastercard, and its series of 2017
    r"|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12,15}"  # Discover
    r"|(?:62|81)[0-9]{14,17}"  # UnionPay
    r"|(?:50|5[6-8]|6[37])[0-9]{11,17}"  # Maestro
    r"|(?:220[0-4]|9792|60[0-9]{2}|82[0-9]{2})[0-9]{12,15}"  # Mir, Troy, RuPay
)


_RUNS: Final = tuple(
    re.compile(rf"(?<![0-9])(?=([2-9](?:[ -]{{0,3}}[0-9]){{{more}}})(?![0-9]))") for more in range(12, 19)
)
"""Digits in a text, of each length that card numbers have; where one begins another may too."""


def is_card_number(text: str) -> bool:
    """Whether a value by itself is a card number: digits, issuer, length and Luhn, with blanks and hyphens between.

    >>> is_card_number("4111 1111-1111 1111"), is_card_number("4111111111111112"), is_card_number("1234567812345670")
    (True, False, False)
    """
    if len(text) < _SHORTEST or _PRINTED.fullmatch(text) is None:
        return False
    digits = text.replace(" ", "").replace("-", "")
    return _ISSUED.fullmatch(digits) is not None and _luhn(digits)


def holds_card_number(text: str) -> bool:
    """Whether a card number stands in a text, with others words or numbers before and behind it.

    >>> holds_card_number("see 22 4111 1111-1111 1111, twice"), holds_card_number("of 2024-01-01 12:00, 16 times")
    (True, False)
    """
    return len(text) >= _SHORTEST and any(is_card_number(found[1]) for run in _RUNS for found in run.finditer(text))


def require_no_card_number(text: str, what: str) -> None:
    """Raise `ConfigurationError` where a text that is kept, and that anybody may read, holds a card number."""
    if holds_card_number(text):
        raise ConfigurationError(f"expected {what} without a card number, got one: leave it out.")


def _luhn(digits: str) -> bool:
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    return (sum(map(int, digits[::-2])) + sum(doubled) - 9 * sum(one > 9 for one in doubled)) % 10 == 0


def long_numbers(table: pl.DataFrame, columns: Iterable[str]) -> tuple[str, ...]:
    """The columns of text whose values are long numbers and no card numbers: no value of theirs is judged by itself.

    At least twenty different values could be card numbers by issuer and length, and no more of them pass Luhn than
    would by chance (three standard deviations).
    """
    return tuple(name for name in columns if table.schema[name] == pl.String and _by_chance(table[name]))


def _by_chance(column: pl.Series) -> bool:
    distinct = _candidates(column).unique()
    issued = distinct.filter(distinct.str.contains(f"^(?:{_ISSUED.pattern})$"))
    number = len(issued)
    most = _CHANCE * number + 3 * sqrt(_CHANCE * (1 - _CHANCE) * number)
    return number >= _ENOUGH and int(_passes_luhn(issued).sum()) <= most


def _candidates(column: pl.Series) -> pl.Series:
    """The digits of values that have as many as a card number."""
    texts = column.filter(column.str.len_bytes().is_between(_SHORTEST, _LONGEST_PRINTED))
    digits = texts.str.replace_all(r"[ -]", "")
    return digits.filter(digits.str.contains(r"^[0-9]{13,19}$"))


def looks_like_card_numbers(column: pl.Series) -> bool:
    """Whether a String column holds card numbers: 13–19 digits with a valid Luhn digit (ISO/IEC 7812-1).

    It does when most of the values that have so many digits pass Luhn, and these are most of the column or
    at least twenty. One random number in ten passes, so a column of numeric ids does not look like card numbers.

    >>> looks_like_card_numbers(pl.Series(["4111 1111 1111 1111", "5500-0000-0000-0004"]))
    True
    >>> looks_like_card_numbers(pl.Series(["4111111111111112", "5500000000000005"]))
    False
    """
    candidates = _candidates(column)
    most = len(candidates) * 2 > len(column) - column.null_count()
    if not most and len(candidates) < _ENOUGH:
        return False
    distinct = candidates.unique()
    if not most and len(distinct) < _ENOUGH:
        return False
    return int(_passes_luhn(distinct).sum()) * 2 > len(distinct)


def _passes_luhn(digits: pl.Series) -> pl.Series:
    # the check digit is the last one: count positions from the right
    sums = pl.Series([0]).new_from_index(0, len(digits))
    padded = digits.str.zfill(20)
    for position in range(20):
        digit = padded.str.slice(position, 1).cast(pl.Int64)
        doubled = digit * 2 if position % 2 == 0 else digit
        sums = sums + doubled - 9 * (doubled > 9).cast(pl.Int64)
    return sums % 10 == 0
