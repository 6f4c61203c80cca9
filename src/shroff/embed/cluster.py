"""Learning vectors on Spark, which counts; one machine factorises, to the same file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from shroff.collect import Schema
from shroff.embed.counts import Vocabulary, occurrences, pairs, vocabulary
from shroff.embed.define import Vectors
from shroff.embed.learned import TokenVectors
from shroff.embed.learner import Read, learned_of
from shroff.errors import ConfigurationError
from shroff.features.engines.spark.sums import payments_before, summed
from shroff.features.engines.spark.worker import batches_of, table_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def learn_spark(
    vectors: Vectors, schema: Schema, frame: DataFrame, *, before: int | None = None
) -> TokenVectors:
    """`learn` over a clean table on a cluster, which reads the table three times.

    Raises:
        MissingExtra: PySpark is not installed.
        ConfigurationError: the definition does not fit the schema, or there are too many tokens.
        DataError: the table is not clean, or no two tokens stand near each other often enough.
    """
    vectors.require_fit(schema)
    if vectors.method != "ppmi":
        raise ConfigurationError(
            f'vectors `{vectors.name}`: Spark counts for method="ppmi" alone; learn these in '
            "memory."
        )
    earlier, payments, latest = payments_before(frame, schema, before)
    amounts = (
        {str(schema.amounts_in[0])}
        if schema.amount in vectors.tokens and schema.amounts_in[0]
        else set()
    )
    read = sorted({schema.id, schema.time, *vectors.entity.key, *vectors.tokens, *amounts})
    count = partial(_occurrences, vectors=vectors, schema=schema)
    found = summed(earlier, read, count, "column string, token string, count bigint")
    known = vocabulary(
        vectors, {(column, token): many for column, token, many in found.iter_rows()}
    )
    near = partial(_pairs, vectors=vectors, schema=schema, known=known)
    held = summed(earlier, read, near, "pair bigint, count bigint", by=vectors.entity.key)
    size = len(known.texts)
    counted = np.zeros(size * size, np.int64)
    counted[held["pair"].to_numpy()] = held["count"].to_numpy()
    return learned_of(vectors, known, counted.reshape(size, size), Read(payments, latest, before))


def _occurrences(
    batches: Iterable[pa.RecordBatch], vectors: Vectors, schema: Schema
) -> Iterator[pa.RecordBatch]:
    frame = table_of(batches)
    if frame is not None:
        found = [
            (column, token, count)
            for (column, token), count in occurrences(vectors, schema, frame).items()
        ]
        kinds = {"column": pl.String, "token": pl.String, "count": pl.Int64}
        yield from batches_of(pl.DataFrame(found, schema=kinds, orient="row"))


def _pairs(
    batches: Iterable[pa.RecordBatch], vectors: Vectors, schema: Schema, known: Vocabulary
) -> Iterator[pa.RecordBatch]:
    frame = table_of(batches)
    if frame is not None:
        counted = pairs(vectors, schema, frame, known).ravel()
        places = np.flatnonzero(counted)
        yield from batches_of(pl.DataFrame({"pair": places, "count": counted[places]}))
