"""Card numbers in the open: columns that hold them, and a single value that is one.

A card number (ISO/IEC 7812-1) has 13 to 19 digits, the first of which name its issuer, and the last
of which makes the Luhn sum a multiple of ten. One random number in ten passes Luhn. A column shows
by its many values whether it holds card numbers. A single value does not, so a live payment is
judged by the issuer and the length too, which leaves one random 16-digit number in thirty; and not
at all in columns whose values in training were long numbers that are no card numbers. Such columns
are found once, when a bundle is made.

Digits are those of any script, and what stands between them may be anything but letters, seen or
not. What has as many digits and is another thing is none: a decimal number, an international phone
number, and short groups of digits between marks of several kinds, such as a date and time, a pair
of coordinates, or an IP address with its port.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from math import sqrt
from typing import Final

import polars as pl

from shroff.errors import ConfigurationError

_MAX_PRINTED_CHARACTERS: Final = 200
"""The most characters of a printed card number; a longer text is something else."""
_FEWEST_NUMBERS: Final = 20
"""The fewest numbers that convict a column: one random number in ten passes Luhn, not most of
twenty.
"""
_LUHN_SHARE: Final = 0.1
_MIN_DIGITS: Final = 13
_MAX_DIGITS: Final = 19

_PRINTED: Final = re.compile(r"[\W_]*[2-9](?:[\W_]*[0-9]){12,18}[\W_]*")
_NUMBER_OR_PHONE: Final = re.compile(r"-?[0-9]*[.,][0-9]*|\+.*", re.DOTALL)
_GROUP: Final = re.compile("[0-9]+")
_ORDINARY: Final = frozenset(" -")
"""The usual separators between the digits of a card number."""
_UNSEEN: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Invisible letters and signs: the fillers of Hangul, and Braille without a dot."""
_MINUS: Final = "\u2212"
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
    re.compile(rf"(?<![0-9])(?=([2-9](?:[-\s./_\u00b7]{{0,3}}[0-9]){{{more}}})(?![0-9]))")
    for more in range(12, 19)
)
"""Runs of digits of each length of card numbers, which may overlap."""


_LONG_NUMBER: Final = r"(?:\d[^\dA-Za-z]{0,3}){12}\d"
"""A number of thirteen digits or more, whatever stands between them but letters."""


def is_card_number(text: str) -> bool:
    """Whether a value by itself is a card number: digits, issuer, length and Luhn, whatever is
    printed between.

    >>> (
    ...     is_card_number("4111 1111-1111 1111"),
    ...     is_card_number("4111111111111112"),
    ...     is_card_number("1234567812345670"),
    ... )
    (True, False, False)
    >>> (
    ...     is_card_number("4111.1111.1111.1111"),
    ...     is_card_number("٤١١١/111111111111"),
    ...     is_card_number("+4111111111111"),
    ... )
    (True, True, False)
    """
    if not _MIN_DIGITS <= len(text) <= _MAX_PRINTED_CHARACTERS:
        return False
    if not text.isascii():
        text = _in_ascii(text)
    if _PRINTED.fullmatch(text) is None:
        return False
    digits = "".join(_GROUP.findall(text))
    return _ISSUED.fullmatch(digits) is not None and _luhn(digits) and not _is_other(text)


def _in_ascii(text: str) -> str:
    """A text with ASCII digits for those of every script, and ordinary blanks and hyphens.

    >>> _in_ascii("４\u00a0١–１é")
    '4 1-1é'
    """
    return "".join(one if one.isascii() else _ascii_of(one) for one in text)


def _ascii_of(character: str) -> str:
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    kind = unicodedata.category(character)
    # separators, controls and format characters, marks on the character before
    if kind[0] in "ZCM" or character in _UNSEEN:
        return " "
    return "-" if kind == "Pd" or character == _MINUS else character


def _is_other(text: str) -> bool:
    """Whether an ASCII text with the digits of a card number is something else."""
    text = text.strip()
    kinds = {*text} - {*"0123456789"}
    if kinds <= _ORDINARY:
        return False
    short = any(len(group) < 4 for group in _GROUP.findall(text)[:-1])
    return _NUMBER_OR_PHONE.fullmatch(text) is not None or (len(kinds) > 1 and short)


def holds_card_number(text: str) -> bool:
    """Whether a text contains a card number among other words or numbers.

    >>> (
    ...     holds_card_number("see 22 4111 1111-1111 1111, twice"),
    ...     holds_card_number("of 2024-01-01 12:00, 16 times"),
    ... )
    (True, False)
    """
    if not text.isascii():
        text = _in_ascii(text)
    return len(text) >= _MIN_DIGITS and any(
        is_card_number(found[1]) for run in _RUNS for found in run.finditer(text)
    )


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
    if column.dtype.is_numeric():
        whole = column.filter(column.is_between(10**12, 2**63 - 1025) & (column % 1 == 0))
        texts = whole.cast(pl.Int64).cast(pl.String)
    else:
        texts = column.filter(column.str.len_bytes() >= _MIN_DIGITS)
    long = texts.unique().filter(texts.unique().str.contains(_LONG_NUMBER)).to_list()
    return 2 * sum(map(holds_card_number, long)) > len(long)


def require_no_card_number(text: str, what: str) -> None:
    """Raise `ConfigurationError` if a stored text that is not personal contains a card number."""
    if holds_card_number(text):
        raise ConfigurationError(f"expected {what} without a card number, got one: leave it out.")


def _luhn(digits: str) -> bool:
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    return (
        sum(map(int, digits[::-2])) + sum(doubled) - 9 * sum(one > 9 for one in doubled)
    ) % 10 == 0


def long_numbers(table: pl.DataFrame, columns: Iterable[str]) -> tuple[str, ...]:
    """The columns of text whose values are long numbers and no card numbers: no value of theirs is
    judged by itself.

    At least twenty different values could be card numbers by issuer and length, and no more of them
    pass Luhn than would by chance (three standard deviations).
    """
    return tuple(
        name for name in columns if table.schema[name] == pl.String and _by_chance(table[name])
    )


def _by_chance(column: pl.Series) -> bool:
    distinct = _candidates(column).unique()
    issued = distinct.filter(distinct.str.contains(f"^(?:{_ISSUED.pattern})$"))
    number = len(issued)
    most = _LUHN_SHARE * number + 3 * sqrt(_LUHN_SHARE * (1 - _LUHN_SHARE) * number)
    return number >= _FEWEST_NUMBERS and int(_passes_luhn(issued).sum()) <= most


def _candidates(column: pl.Series) -> pl.Series:
    """The digits of values with as many digits as a card number that are not obviously something
    else.
    """
    long = column.filter(column.str.len_bytes() >= _MIN_DIGITS)
    texts = long.filter(~long.str.contains("[A-Za-z]"))
    digits = texts.str.replace_all(r"[ -]", "")
    plain = digits.str.contains(r"^[0-9]{13,19}$")
    # only values with a fitting number of digits are judged one by one
    odd = texts.filter(
        ~plain & texts.str.contains(r"[^\x00-\x7f]|^[^0-9]*(?:[0-9][^0-9]*){13,19}$")
    )
    found = [one for one in map(_digits, odd.to_list()) if one is not None]
    return digits.filter(plain).append(pl.Series(found, dtype=pl.String))


def _digits(text: str) -> str | None:
    """The digits of a text printed like a card number; None for any other text."""
    text = _in_ascii(text)
    digits = "".join(_GROUP.findall(text))
    letters = any(map(str.isalpha, text))
    printed = (
        len(text) <= _MAX_PRINTED_CHARACTERS
        and _MIN_DIGITS <= len(digits) <= _MAX_DIGITS
        and not letters
    )
    return digits if printed and not _is_other(text) else None


def looks_like_card_numbers(column: pl.Series) -> bool:
    """Whether a String column holds card numbers: 13–19 digits with a valid Luhn digit (ISO/IEC
    7812-1).

    It does when most of the values that have so many digits pass Luhn, and these are most of the
    column or at least twenty. One random number in ten passes, so a column of numeric ids does not
    look like card numbers.

    >>> looks_like_card_numbers(pl.Series(["4111 1111 1111 1111", "5500-0000-0000-0004"]))
    True
    >>> looks_like_card_numbers(pl.Series(["4111111111111112", "5500000000000005"]))
    False
    """
    candidates = _candidates(column)
    most = len(candidates) * 2 > len(column) - column.null_count()
    if not most and len(candidates) < _FEWEST_NUMBERS:
        return False
    distinct = candidates.unique()
    if not most and len(distinct) < _FEWEST_NUMBERS:
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
