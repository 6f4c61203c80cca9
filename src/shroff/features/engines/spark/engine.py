"""The Spark engine: which rows go where, and what is computed over them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING, Final

import polars as pl

from shroff.collect import Schema
from shroff.features.engines import subplans
from shroff.features.engines.spark import worker
from shroff.features.engines.spark.blocks import DDL, PART
from shroff.features.engines.spark.frames import (
    ORDER,
    col,
    functions,
    map_batches,
    micros_of,
    quoted,
    read_clean,
    require_columns,
    session,
    write_new,
)
from shroff.features.engines.spark.parts import Parts
from shroff.features.engines.spark.skew import ARRIVAL, DEFAULT_SKEW, Skew, ranges
from shroff.features.engines.spark.worker import CHUNK, FROM, SINCE, UPTO, Route
from shroff.features.engines.subplans import ROW, Subplan
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_KEY: Final = "shroff key "
_AUTO_PARTITIONS: Final = 200


def compute_spark(
    groups: Sequence[FeatureGroup],
    frame: DataFrame,
    schema: Schema,
    *,
    order: str | None = None,
    skew: Skew | None = DEFAULT_SKEW,
) -> DataFrame:
    """The features of a clean table on a cluster: the values of `batch.compute`, in any row order.

    Args:
        frame: a table as `shroff.collect.clean` leaves it (amounts in minor units). It is read
            once, besides the search for hot keys: cache it if it is costly to compute.
        order: a column of unique values that orders payments which arrived at the same moment;
            without it their ids do.
        skew: when hot keys are split; None does not look for them.

    Returns:
        The id column and one column per feature (double or string, nullable). Only the search for
        hot keys (a count, a sample, the earliest payments) and for several currencies runs at once;
        all else is lazy.

    Raises:
        MissingExtra: PySpark is not installed.
        DataError: the table lacks a column or has it in another type.
        MixedCurrencies: a feature reads amounts that are in several currencies.
    """
    functions()
    plan = Plan(groups, schema)
    require_columns(frame, plan.schema, order)
    plan.require_one_currency(partial(_codes, frame, plan.schema))
    found = subplans.subplans(plan)
    result = _types(plan)
    columns = subplans.payment_columns(plan)
    if not found:
        return map_batches(
            frame.select(*map(col, columns)),
            partial(worker.alone, groups=tuple(groups), schema=schema),
            result,
        )
    row = order or plan.schema.id
    chunks = {} if skew is None else _hot_chunks(frame, found, plan.schema, skew)
    parts = Parts.of(_partitions(frame))
    routes = [
        Route(
            subplan.number,
            subplan.key,
            subplan.columns_of(frame.columns),
            subplan.horizon,
            chunks.get(subplan.number),
        )
        for subplan in found
    ]
    arrival = plan.schema.arrived_at or plan.schema.time
    read = (*columns, *(name for route in routes for name in route.columns))
    scattered = map_batches(
        frame.select(col(row).alias(ROW), *map(col, dict.fromkeys(read))),
        partial(
            worker.scatter,
            routes=routes,
            own=columns,
            arrival=arrival,
            time=plan.schema.time,
            parts=parts,
        ),
        DDL,
    )
    aggregates = partial(
        worker.aggregates, found=found, schema=schema, chunked=frozenset(chunks), parts=parts
    )
    held = map_batches(scattered.repartition(col(PART)), aggregates, DDL)
    assemble = partial(worker.assemble, groups=tuple(groups), schema=schema)
    return map_batches(held.repartition(col(PART)), assemble, result)


def features_job(
    plan: Plan,
    source: str,
    target: str,
    *,
    master: str | None = None,
    skew: Skew | None = DEFAULT_SKEW,
) -> int:
    """Compute a project's features over a clean Parquet table into a folder of Parquet files.

    Args:
        source: a file, folder or URL that every machine of the cluster can read (`shroff collect`
            writes one).
        target: a folder or URL that is not there yet.
        master: where Spark runs, such as `local[2]` or `yarn`; by default as `spark-submit` says.

    Returns:
        How many payments were written.

    Raises:
        MissingExtra: PySpark is not installed.
        BadFile: the source is no Parquet.
        DataError: the source is no clean table of the plan's schema.
        ConfigurationError: the target exists.
    """
    with session("shroff features", master) as spark:
        features = compute_spark(
            plan.groups, read_clean(spark, source), plan.schema, order=ORDER, skew=skew
        )
        write_new(features, target)
        return spark.read.parquet(target).count()


def _codes(frame: DataFrame, schema: Schema) -> list[str]:
    """The different currency codes of a table."""
    return [row[0] for row in frame.select(col(str(schema.currency))).distinct().collect()]


def _types(plan: Plan) -> str:
    """The columns of the result, as Spark's DDL."""
    kinds = {name: "string" if kind == "text" else "double" for name, kind in plan.kinds.items()}
    return ", ".join(
        f"{quoted(name)} {kind}" for name, kind in {plan.schema.id: "string", **kinds}.items()
    )


def _partitions(frame: DataFrame) -> int:
    """Into how many partitions Spark shuffles, before it puts small ones together."""
    conf = frame.sparkSession.conf
    text = conf.get("spark.sql.adaptive.coalescePartitions.initialPartitionNum", None)
    text = text or conf.get("spark.sql.shuffle.partitions")
    # clusters whose Spark chooses the number say `auto`
    return int(text) if text and text.isdigit() else _AUTO_PARTITIONS


def _hot_chunks(
    frame: DataFrame, found: Sequence[Subplan], schema: Schema, skew: Skew
) -> dict[int, pl.DataFrame]:
    """The chunks of hot keys by subplan; subplans without hot keys are left out."""
    rows = frame.count()
    if rows <= skew.rows:
        return {}
    keys = dict.fromkeys(name for subplan in found for name in subplan.key)
    share = min(1.0, skew.sample / rows)
    looked_at = frame.select(
        *(col(name) for name in keys), micros_of(schema.arrived_at or schema.time).alias(ARRIVAL)
    )
    sample = pl.DataFrame(pl.from_arrow(looked_at.sample(fraction=share, seed=1).toArrow()))
    chunks = {
        subplan.number: ranges(sample, subplan, skew, weight=1.0 / share) for subplan in found
    }
    return {
        subplan.number: _with_earliest(frame, subplan, schema, chunks[subplan.number])
        for subplan in found
        if len(chunks[subplan.number])
    }


def _with_earliest(
    frame: DataFrame, subplan: Subplan, schema: Schema, chunks: pl.DataFrame
) -> pl.DataFrame:
    """Chunks that own payments, with when the earliest of them happened."""
    f = functions()
    named = chunks.rename({name: f"{_KEY}{place}" for place, name in enumerate(subplan.key)})
    spans = frame.sparkSession.createDataFrame(named.to_arrow(compat_level=pl.CompatLevel.oldest()))
    arrival, time = micros_of(schema.arrived_at or schema.time), micros_of(schema.time)
    same = reduce(
        lambda a, b: a & b,
        (col(name) == col(f"{_KEY}{at}") for at, name in enumerate(subplan.key)),
        f.lit(True),
    )
    owned = same & (arrival >= col(FROM)) & (arrival < col(UPTO))
    earliest = frame.join(f.broadcast(spans), owned).groupBy(CHUNK).agg(f.min(time).alias(SINCE))
    return chunks.join(pl.DataFrame(pl.from_arrow(earliest.toArrow())), on=CHUNK)
