"""Values as codes: whole numbers by first appearance, -1 for no value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import numpy as np
import polars as pl

from shroff.features.engines.batch import grouping, string_views
from shroff.features.engines.batch.grouping import Int32

_SLICE_ROWS: Final = 1 << 18


def codes_of(values: pl.Series) -> tuple[Int32, int]:
    """Codes of a column's values, and how many there are.

    Texts of at most twelve bytes are told apart as numbers, all other values by a hash that is
    checked against them.
    """
    codes, known, done = np.empty(len(values), np.int32), grouping.no_codes(), 0
    with closing(string_views.short(values)) as chunks:
        for keys in chunks:
            at = slice(done, done + len(keys))
            known = grouping.encode(
                keys, values[at].is_not_null().to_numpy(), known, done, codes[at]
            )
            done = at.stop
    return (codes, known.many) if done == len(values) else _codes_by_hash(values)


def paired(first: Int32, second: Int32) -> tuple[Int32, int]:
    """Codes of two columns' codes together, and how many there are; -1 where one has no value."""
    return grouping.factorise(grouping.pairs(first, second), (first >= 0) & (second >= 0))


def slices(rows: int) -> Iterator[slice]:
    """A table slice by slice: intermediate results stay small and reuse their memory."""
    for start in range(0, rows, _SLICE_ROWS):
        yield slice(start, min(start + _SLICE_ROWS, rows))


def _codes_by_hash(values: pl.Series) -> tuple[Int32, int]:
    codes, known = np.empty(len(values), np.int32), grouping.no_codes()
    for at in slices(len(values)):
        piece = values[at]
        hashes, there = grouping.pairs(piece.hash().to_numpy()), piece.is_not_null().to_numpy()
        known = grouping.encode(hashes, there, known, at.start, codes[at])
    names = values.gather(known.firsts[: known.many])
    for at in slices(len(values)):
        piece, coded = values[at], codes[at]
        if not (names.gather(coded[coded >= 0]) == piece.drop_nulls()).all():
            # two values share a hash: encode the values themselves
            places = values.cast(pl.Categorical(pl.Categories.random())).to_physical().fill_null(0)
            return grouping.factorise(
                grouping.pairs(places.to_numpy()), values.is_not_null().to_numpy()
            )
    return codes, known.many
