"""Counts over a clean table on a cluster, from which vectors of tokens are learned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

import polars as pl

from shroff.collect import Schema
from shroff.features.engines.spark.frames import (
    col,
    functions,
    map_batches,
    micros_of,
    require_columns,
)
from shroff.features.engines.spark.worker import Compute

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def payments_before(
    frame: DataFrame, schema: Schema, before: int | None
) -> tuple[DataFrame, int, int]:
    """The payments that happened and arrived before a moment, microseconds since 1970.

    Returns:
        The payments, how many there are, and when the last of them happened or arrived.

    Raises:
        DataError: the table lacks a column or has it in another type.
    """
    f = functions()
    require_columns(frame, schema, None)
    moments = [micros_of(name) for name in (schema.time, schema.arrived_at) if name is not None]
    earlier = (
        frame
        if before is None
        else frame.where(reduce(lambda a, b: a & b, (at < before for at in moments)))
    )
    ((rows, *last),) = earlier.agg(f.count("*"), *map(f.max, moments)).collect()
    return earlier, rows, max(filter(None, last), default=0)


def summed(
    frame: DataFrame,
    columns: Sequence[str],
    compute: Compute,
    result: str,
    *,
    by: Sequence[str] = (),
) -> pl.DataFrame:
    """Counts from each partition, summed by all columns of the result but the last.

    Args:
        columns: those that `compute` reads.
        result: the columns that it yields, as Spark's DDL; the last is the count.
        by: rows with equal values of these columns share a partition; rows with a null among them
            are left out.
    """
    keys = list(map(col, by))
    narrow = frame.select(*map(col, columns))
    if keys:
        narrow = narrow.where(
            reduce(lambda a, b: a & b, (key.isNotNull() for key in keys))
        ).repartition(*keys)
    found = map_batches(narrow, compute, result)
    *names, number = found.columns
    total = found.groupBy(*map(col, names)).agg(functions().sum(col(number)).alias(number))
    return pl.DataFrame(pl.from_arrow(total.toArrow()))
