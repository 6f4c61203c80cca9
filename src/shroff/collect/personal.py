"""Personal data stops at the door: keyed hashes, and a guard against card numbers in the open.

A keyed HMAC-SHA256 (RFC 2104, FIPS 198-1) keeps equal values equal, so that a hashed e-mail still counts
and compares, while nobody without the key can try out a dictionary of e-mails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import polars as pl

_BLOCK: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))

_LONGEST_PRINTED: Final = 40
"""Bytes of a card number however it is printed; what is longer is another thing."""
_ENOUGH: Final = 20
"""So many card numbers are no accident: one random number in ten passes Luhn, not most of twenty."""


def tokenizer(key: bytes) -> Callable[[str], str]:
    """The function that gives a personal value's token: the 64 hexadecimal digits of its HMAC-SHA256.

    The padded key is hashed once, not for every value.

    >>> tokenizer(b"k" * 32)("ada@example.org")[:16]
    'ff3896f62eb9569d'
    """
    block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    inner, outer = (hashlib.sha256(block.translate(pad)) for pad in (_INNER, _OUTER))

    def token(value: str) -> str:
        first, second = inner.copy(), outer.copy()
        first.update(value.encode())
        second.update(first.digest())
        return second.hexdigest()

    return token


def tokens(column: pl.Series, key: bytes) -> pl.Series:
    """A whole column of personal values (String, nullable) as tokens; each distinct value is hashed once."""
    distinct = column.drop_nulls().unique()
    hashed = pl.Series(column.name, map(tokenizer(key), distinct), dtype=pl.String)
    return hashed.gather(column.cast(pl.Enum(distinct)).to_physical()) if len(distinct) else column


def looks_like_card_numbers(column: pl.Series) -> bool:
    """Whether a String column holds card numbers: 13–19 digits with a valid Luhn digit (ISO/IEC 7812-1).

    It does when most of the values that have so many digits pass Luhn, and these are most of the column or
    at least twenty. One random number in ten passes, so a column of numeric ids does not look like card numbers.

    >>> looks_like_card_numbers(pl.Series(["4111 1111 1111 1111", "5500-0000-0000-0004"]))
    True
    >>> looks_like_card_numbers(pl.Series(["4111111111111112", "5500000000000005"]))
    False
    """
    texts = column.filter(column.str.len_bytes().is_between(13, _LONGEST_PRINTED))
    digits = texts.str.replace_all(r"[ -]", "")
    candidates = digits.filter(digits.str.contains(r"^[0-9]{13,19}$"))
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
