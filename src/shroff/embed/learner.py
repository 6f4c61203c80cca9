"""Learning vectors from clean payments."""

from __future__ import annotations

import polars as pl

from shroff.collect import Schema
from shroff.embed.counts import occurrences, pairs, vocabulary
from shroff.embed.define import Vectors
from shroff.embed.factorise import factorise, ppmi
from shroff.embed.learned import Lesson, TokenVectors
from shroff.errors import DataError


def learn(vectors: Vectors, schema: Schema, frame: pl.DataFrame, *, before: int | None = None) -> TokenVectors:
    """Learn the vectors of tokens from a clean table.

    Args:
        before: only payments that happened and arrived before this moment count, in microseconds since 1970; the
            beginning of the days that a model is judged on. By default all count.

    Raises:
        ConfigurationError: the definition does not fit the schema, or there are too many tokens.
        DataError: no two tokens stand near each other often enough.
    """
    vectors.require_fit(schema)
    moments = [schema.time, *([schema.arrived_at] if schema.arrived_at else [])]
    if before is not None:
        frame = frame.filter([pl.col(moment).dt.epoch("us") < before for moment in moments])
    known = vocabulary(vectors, occurrences(vectors, schema, frame))
    counted = pairs(vectors, schema, frame, known)
    if not counted.any():
        raise DataError(
            f"vectors `{vectors.name}`: expected payments with tokens near each other that occur {vectors.least} times "
            "or more, found none; pass more payments, or lower least=."
        )
    lesson = Lesson(
        definition=vectors,
        payments=len(frame),
        pairs=int(counted.sum()),
        latest=int(frame.select(pl.max_horizontal(pl.col(moments).dt.epoch("us").max())).item()),
        before=before,
    )
    found = factorise(ppmi(counted, vectors.shift), vectors.dimensions)
    return TokenVectors(lesson, tuple(zip(known.columns, known.texts, strict=True)), known.counts, found)
