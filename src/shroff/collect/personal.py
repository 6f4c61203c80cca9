"""Keyed hashes in place of personal data.

A keyed HMAC-SHA256 (RFC 2104, FIPS 198-1) keeps equal values equal, so that a hashed e-mail still
counts and compares, while nobody without the key can try out a dictionary of e-mails.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Final

import polars as pl

from shroff.canonical import text_of
from shroff.errors import ConfigurationError

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TOKEN: Final = re.compile("[0-9a-f]{64}")
_BLOCK: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


def tokenizer(key: bytes) -> Callable[[str], str]:
    """The function that makes a personal value's token: its HMAC-SHA256 in 64 hex digits.

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


def is_token(text: str) -> bool:
    """Whether a text is one that `tokenizer` makes.

    >>> is_token(tokenizer(b"k" * 32)("ada@example.org")), is_token("ada@example.org")
    (True, False)
    """
    return _TOKEN.fullmatch(text) is not None


def forms(value: str, key: bytes) -> list[str]:
    """A person's value as it is stored: as it is sent, and its token where its column is personal.

    >>> [form[:16] for form in forms("555.0", b"k" * 32)]
    ['555', 'd5df4ee1d5c2209c']

    Raises:
        ConfigurationError: no payment can have it.
    """
    text = text_of(value)
    # of an argument that is no text of the shell's encoding, surrogates are left
    if text is None or (not text.isprintable() and _SURROGATE.search(text)):
        raise ConfigurationError(
            "expected the value of a person's column, got none that a payment can have: it is "
            "blank, or no text."
        )
    return [text, tokenizer(key)(text)]


def tokens(column: pl.Series, key: bytes) -> pl.Series:
    """A column of personal values (String, nullable) as tokens; hashes each distinct value once."""
    distinct = column.drop_nulls().unique()
    hashed = pl.Series(column.name, map(tokenizer(key), distinct), dtype=pl.String)
    return hashed.gather(column.cast(pl.Enum(distinct)).to_physical()) if len(distinct) else column
