"""Which tokens are near each other: integer counts, which add up over cards in any order."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shroff.arrays import Ints
from shroff.collect import Schema
from shroff.embed.define import Vectors
from shroff.errors import ConfigurationError
from shroff.features.tokens import tokens
from shroff.features.window import micros

MAX_TOKENS: Final = 4_096


class Vocabulary(NamedTuple):
    """The tokens that are learned, by column and then by text, and how often each occurs."""

    columns: tuple[str, ...]
    texts: tuple[str, ...]
    counts: tuple[int, ...]


def occurrences(
    vectors: Vectors, schema: Schema, frame: pl.DataFrame
) -> dict[tuple[str, str], int]:
    """How often each token occurs, by column and text; counts of several tables add up."""
    found: dict[tuple[str, str], int] = {}
    words = frame.select(tokens(vectors.tokens, schema))
    for column in vectors.tokens:
        many = words[column].drop_nulls().alias("token").value_counts()
        found |= {(column, text): count for text, count in many.iter_rows()}
    return found


def vocabulary(vectors: Vectors, found: dict[tuple[str, str], int]) -> Vocabulary:
    """The tokens that occur often enough, in an order that depends on them alone.

    Raises:
        ConfigurationError: there are too many to compare all pairs.
    """
    often = sorted(token for token, count in found.items() if count >= vectors.least)
    if len(often) > MAX_TOKENS:
        raise ConfigurationError(
            f"vectors `{vectors.name}`: expected at most {MAX_TOKENS:,} tokens, got "
            f"{len(often):,}; raise least=, or take a column of fewer values."
        )
    columns, texts = tuple(column for column, _ in often), tuple(text for _, text in often)
    return Vocabulary(columns, texts, tuple(found[token] for token in often))


def pairs(vectors: Vectors, schema: Schema, frame: pl.DataFrame, known: Vocabulary) -> Ints:
    """How often tokens are contexts of each other: a symmetric matrix; matrices of cards add up."""
    keys = list(vectors.entity.key)
    history = frame.drop_nulls(keys).sort(*keys, schema.time, schema.id)
    words = history.select(tokens(vectors.tokens, schema))
    codes = [_codes(words[column], column, known) for column in vectors.tokens]
    cards = history.select(pl.struct(keys).rle_id()).to_series().to_numpy().astype(np.int64)
    times = history[schema.time].dt.epoch("us").to_numpy()
    size, window = len(known.texts), micros(vectors.window)
    total = np.zeros(size * size, np.int64)
    for at, one in enumerate(codes):
        for other in codes[at + 1 :]:
            _add(total, one, other, size)
    for lag in range(1, min(vectors.reach, len(times) - 1) + 1):
        near = (cards[lag:] == cards[:-lag]) & (times[lag:] - times[:-lag] < window)
        earlier, later = [one[:-lag][near] for one in codes], [one[lag:][near] for one in codes]
        for one in earlier:
            for other in later:
                _add(total, one, other, size)
    counted = total.reshape(size, size)
    return counted + counted.T


def _add(total: Ints, one: Ints, other: Ints, size: int) -> None:
    both = (one >= 0) & (other >= 0)
    total += np.bincount(one[both] * size + other[both], minlength=size * size)


def _codes(words: pl.Series, column: str, known: Vocabulary) -> NDArray[Any]:
    places = {text: at for at, text in enumerate(known.texts) if known.columns[at] == column}
    codes = words.replace_strict(
        list(places), list(places.values()), default=-1, return_dtype=pl.Int64
    )
    return codes.fill_null(-1).to_numpy()
