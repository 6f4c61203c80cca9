"""Learning vectors from clean payments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shroff.arrays import Ints
from shroff.collect import Schema
from shroff.embed.counts import Vocabulary, occurrences, pairs, vocabulary
from shroff.embed.define import Vectors
from shroff.embed.factorise import factorise, ppmi
from shroff.embed.learned import Lesson, TokenVectors
from shroff.embed.sgns import skip_gram
from shroff.errors import DataError


def learn(
    vectors: Vectors, schema: Schema, frame: pl.DataFrame, *, before: int | None = None
) -> TokenVectors:
    """Learn the vectors of tokens from a clean table.

    Args:
        before: only payments that happened and arrived before this moment count, in microseconds
            since 1970, such as the start of the test days. By default all count.

    Raises:
        ConfigurationError: the definition does not fit the schema, or there are too many tokens.
        DataError: no two tokens stand near each other often enough.
    """
    vectors.require_fit(schema)
    moments = [schema.time, *([schema.arrived_at] if schema.arrived_at else [])]
    if before is not None:
        frame = frame.filter([pl.col(moment).dt.epoch("us") < before for moment in moments])
    known = vocabulary(vectors, occurrences(vectors, schema, frame))
    latest = frame.select(pl.max_horizontal(pl.col(moments).dt.epoch("us").max())).item() or 0
    counted, read = pairs(vectors, schema, frame, known), Read(len(frame), latest, before)
    if vectors.method == "ppmi" or not counted.any():
        return learned_of(vectors, known, counted, read)
    return _kept(vectors, known, counted, read, skip_gram(vectors, schema, frame, known))


class Read(NamedTuple):
    """The payments read: how many, when the last happened or arrived, and before which moment."""

    payments: int
    latest: int
    before: int | None


def learned_of(vectors: Vectors, known: Vocabulary, counted: Ints, read: Read) -> TokenVectors:
    """The vectors that counts give.

    Args:
        counted: how often tokens are contexts of each other [tokens, tokens], symmetric.

    Raises:
        DataError: no two tokens stand near each other often enough.
    """
    if not counted.any():
        raise DataError(
            f"vectors `{vectors.name}`: expected payments with tokens near each other that occur "
            f"{vectors.least} times or more, found none; pass more payments, or lower least=."
        )
    return _kept(
        vectors, known, counted, read, factorise(ppmi(counted, vectors.shift), vectors.dimensions)
    )


def _kept(
    vectors: Vectors, known: Vocabulary, counted: Ints, read: Read, found: NDArray[np.int16]
) -> TokenVectors:
    lesson = Lesson(
        definition=vectors,
        payments=read.payments,
        pairs=int(counted.sum()),
        latest=read.latest,
        before=read.before,
    )
    return TokenVectors(
        lesson, tuple(zip(known.columns, known.texts, strict=True)), known.counts, found
    )
