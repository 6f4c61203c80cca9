"""Personal data stops at the door: keyed hashes, and a guard against card numbers in the open.

A keyed HMAC-SHA256 (RFC 2104, FIPS 198-1) keeps equal values equal, so that a hashed e-mail still counts
and compares, while nobody without the key can try out a dictionary of e-mails.
"""

from __future__ import annotations

import hmac

import polars as pl


def token(value: str, key: bytes) -> str:
    """The 64 hexadecimal digits that stand for one personal value.

    >>> token("ada@example.org", b"k" * 32)[:16]
    '9f1cb2f2e5ce2ad3'
    """
    return hmac.digest(key, value.encode(), "sha256").hex()


def tokens(column: pl.Series, key: bytes) -> pl.Series:
    """A whole column of personal values (String, nullable) as tokens; each distinct value is hashed once."""
    distinct = column.drop_nulls().unique()
    hashed = pl.Series([token(value, key) for value in distinct], dtype=pl.String)
    return column.replace_strict(distinct, hashed, default=None, return_dtype=pl.String)


def looks_like_card_numbers(column: pl.Series) -> bool:
    """Whether most values of a String column are 13–19 digits with a valid Luhn digit (ISO/IEC 7812-1).

    One in ten random numbers passes Luhn, so a column of numeric ids does not look like card numbers.

    >>> looks_like_card_numbers(pl.Series(["4111 1111 1111 1111", "5500-0000-0000-0004"]))
    True
    >>> looks_like_card_numbers(pl.Series(["4111111111111112", "5500000000000005"]))
    False
    """
    digits = column.drop_nulls().str.replace_all(r"[ -]", "")
    candidates = digits.filter(digits.str.contains(r"^\d{13,19}$"))
    if len(candidates) * 2 <= len(digits):
        return False
    # the check digit is the last one: count positions from the right
    sums = pl.Series([0]).new_from_index(0, len(candidates))
    padded = candidates.str.zfill(20)
    for position in range(20):
        digit = padded.str.slice(position, 1).cast(pl.Int64)
        doubled = digit * 2 if position % 2 == 0 else digit
        sums = sums + doubled - 9 * (doubled > 9).cast(pl.Int64)
    valid = (sums % 10 == 0).sum()
    return valid * 2 > len(digits)
