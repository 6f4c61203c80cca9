"""Short texts read from a column's memory as two numbers each."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.features.engines.batch import string_views

WORDS = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.sampled_from(["", "\0", "\0\0", "é", "twelve bytes", "twelve byteS"]),
)


@given(parts=st.lists(st.lists(WORDS, max_size=9), min_size=1, max_size=3), data=st.data())
def test_texts_are_equal_where_their_numbers_are(
    parts: list[list[str | None]], data: st.DataObject
) -> None:
    values = pl.concat([pl.Series("a", part, pl.String) for part in parts], rechunk=False)
    first = data.draw(st.integers(0, len(values)))
    values = values.slice(first, data.draw(st.integers(0, len(values))))
    found = [tuple(pair) for pairs in string_views.short(values) for pair in pairs.tolist()]
    assert len(found) == len(values)
    pairs = dict[str, tuple[int, int]]()
    for text, pair in zip(values, found, strict=True):
        if text is not None:
            assert pairs.setdefault(text, pair) == pair
    assert len(set(pairs.values())) == len(pairs)


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (pl.Series(["short", "thirteen chars"]), 0),
        (
            pl.concat(
                [pl.Series(["short"]), pl.Series(["thirteen chars"]), pl.Series(["short"])],
                rechunk=False,
            ),
            1,
        ),
        (pl.Series([1, 2]), 0),
        (pl.Series(["a", "b"], dtype=pl.Categorical), 0),
    ],
)
def test_it_ends_where_there_is_something_else(values: pl.Series, rows: int) -> None:
    assert sum(len(pairs) for pairs in string_views.short(values)) == rows


def test_no_texts_are_no_numbers() -> None:
    assert [np.shape(pairs) for pairs in string_views.short(pl.Series([], dtype=pl.String))] in (
        [],
        [(0, 2)],
    )
