"""Personal data: the HMAC of the standards, and card numbers told from other numbers."""

from __future__ import annotations

import hashlib
import hmac
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.collect.personal import looks_like_card_numbers, tokenizer, tokens


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


def _luhn(digits: str) -> str:
    """The digit that makes a number valid (ISO/IEC 7812-1, annex B), the slow way."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def _cards(count: int, length: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [_luhn("".join(draw.choices("0123456789", k=length - 1))) for _ in range(count)]


@pytest.mark.parametrize("length", range(13, 20))
@pytest.mark.parametrize("mark", ["", " ", "-"])
def test_card_numbers_of_every_length_and_print_are_found(length: int, mark: str) -> None:
    printed = [mark.join(number[at : at + 4] for at in range(0, length, 4)) for number in _cards(30, length)]
    assert looks_like_card_numbers(pl.Series(printed))


def test_a_few_card_numbers_among_other_texts_are_found() -> None:
    assert looks_like_card_numbers(pl.Series(_cards(25, 16) + ["paid at the till"] * 5_000))


@pytest.mark.parametrize("length", [12, 20])
def test_numbers_of_another_length_are_none(length: int) -> None:
    assert not looks_like_card_numbers(pl.Series(_cards(50, length)))


def test_random_numbers_are_none() -> None:
    draw = random.Random(1)
    assert not looks_like_card_numbers(pl.Series([str(draw.randrange(10**15, 10**16)) for _ in range(500)]))


def test_a_number_that_comes_often_is_one_number() -> None:
    assert not looks_like_card_numbers(pl.Series(_cards(1, 15) * 40 + ["x"] * 100))


@pytest.mark.parametrize("values", [[], [None, None], ["", "abc"], ["20.30.30.40", "120.30.130.40"]])
def test_other_texts_are_none(values: list[str | None]) -> None:
    assert not looks_like_card_numbers(pl.Series(values, dtype=pl.String))
