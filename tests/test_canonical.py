"""The one text of a value: what programs write of a number is the number, and every other text is
itself.
"""

from __future__ import annotations

import re

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shroff.canonical import NON_CANONICAL, canonical, text_of
from shroff.collect.columns import texts_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = (
    st.from_regex(r"[-+]?[0-9]{0,3}(\.[0-9]{0,3})?(e\+?[0-9]{1,2})?\Z")
    | st.text(max_size=6)
    | FINITE.map(repr)
)


@given(FINITE | st.integers())
def test_a_number_and_what_python_writes_of_it_are_one_text(number: float) -> None:
    assert canonical(repr(number)) == text_of(number)


@given(st.integers(), st.integers(1, 5))
def test_no_digit_of_a_whole_number_is_lost(number: int, zeros: int) -> None:
    assert canonical(f"{number}.{'0' * zeros}") == canonical(str(number)) == str(number)


@given(TEXTS)
def test_a_canonical_text_is_its_own(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once
    assert once == text or re.search(NON_CANONICAL, text)


@given(st.lists(TEXTS | st.none(), max_size=8))
def test_a_column_has_the_texts_of_its_values(texts: list[str | None]) -> None:
    expected = [None if text is None else text_of(text) for text in texts]
    for dtype in (pl.String(), pl.Categorical()):
        assert texts_of(pl.Series("x", texts, dtype=pl.String).cast(dtype)).to_list() == expected


@given(st.lists(FINITE | st.none(), max_size=8))
def test_a_column_of_floats_has_the_texts_of_its_values(numbers: list[float | None]) -> None:
    expected = [None if number is None else text_of(number) for number in numbers]
    assert texts_of(pl.Series("x", numbers, dtype=pl.Float64)).to_list() == expected


def test_an_accented_letter_written_in_two_ways_is_two_texts() -> None:
    assert canonical("caf\u00e9") != canonical("cafe\u0301")
