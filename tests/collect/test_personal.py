"""Personal data: the HMAC of the standards."""

from __future__ import annotations

import hashlib
import hmac

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shroff.collect.personal import tokenizer, tokens


def test_it_is_hmac_sha_256() -> None:
    # RFC 4231, test cases 2 and 3
    assert tokenizer(b"Jefe")("what do ya want for nothing?") == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    assert tokenizer(b"k" * 32)("") == hmac.digest(b"k" * 32, b"", hashlib.sha256).hex()


@given(st.binary(min_size=1, max_size=200), st.text(max_size=200))
def test_it_agrees_with_the_standard_library(key: bytes, value: str) -> None:
    assert tokenizer(key)(value) == hmac.digest(key, value.encode(), "sha256").hex()


@given(st.lists(st.none() | st.text(max_size=3), max_size=30))
def test_a_column_has_the_tokens_of_its_values(values: list[str | None]) -> None:
    token = tokenizer(b"k" * 32)
    column = tokens(pl.Series("email", values, dtype=pl.String), b"k" * 32)
    assert column.to_list() == [None if value is None else token(value) for value in values]
    assert column.dtype == pl.String


def test_another_key_gives_other_tokens() -> None:
    assert tokenizer(b"a" * 16)("ada@example.org") != tokenizer(b"b" * 16)("ada@example.org")
