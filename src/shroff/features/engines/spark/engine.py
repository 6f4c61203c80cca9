"""The Spark engine: which rows go where, and what is computed over them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING, Final

import polars as pl

from shroff.collect import Schema
from shroff.features.engines import subplans
from shroff.features.engines.spark import worker
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
from shroff.features.engines.spark.skew import ARRIVAL, DEFAULT_SKEW, FROM, UPTO, Skew, ranges
from shroff.features.engines.spark.worker import CHUNK, SUBPLAN
from shroff.features.engines.subplans import OWNED, ROW, TEXT, Subplan
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SINCE: Final = "shroff since"
_KEY: Final = "shroff key "


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
        frame: a table as `shroff.collect.clean` leaves it (amounts in minor units). It is read once
            per entity and once more: cache it if it is costly to compute.
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
    held = [
        _held(frame, subplan, plan.schema, row, chunks.get(subplan.number)) for subplan in found
    ]
    together = _together(frame.select(col(row).alias(ROW), *map(col, columns)), held)
    assemble = partial(worker.assemble, groups=tuple(groups), schema=schema)
    return map_batches(together.repartition(col(ROW)), assemble, result)


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


def _together(payments: DataFrame, held: Sequence[DataFrame]) -> DataFrame:
    """The union of payments and aggregates, in flat columns, which are cheap to hand to Python."""
    f = functions()
    kinds = {name: kind for frame in held for name, kind in frame.dtypes[2:]}
    none = {
        name: f.lit(None).cast(kind).alias(name)
        for name, kind in (*kinds.items(), *payments.dtypes[1:])
    }
    row, *own = payments.columns
    first = payments.select(
        col(row), f.lit(0).alias(SUBPLAN), *(none[name] for name in kinds), *map(col, own)
    )
    others = [
        frame.select(
            *(
                col(name) if name in frame.columns else none[name]
                for name in (*frame.columns[:2], *none)
            )
        )
        for frame in held
    ]
    return reduce(lambda one, other: one.union(other), others, first)


def _held(
    frame: DataFrame, subplan: Subplan, schema: Schema, row: str, chunks: pl.DataFrame | None
) -> DataFrame:
    """A subplan's aggregates of all payments that have its key."""
    # payments without the key have no value: moving them would make null a hot key
    there, anything = (col(name).isNotNull() for name in subplan.key), functions().lit(True)
    keyed = frame.where(reduce(lambda a, b: a & b, there, anything))
    narrow = keyed.select(
        col(row).alias(ROW), *(col(name) for name in subplan.columns_of(frame.columns))
    )
    keys = [col(name) for name in subplan.key]
    chunked = chunks is not None
    if chunks is not None:
        narrow = _in_chunks(narrow, subplan, schema, chunks)
        keys.append(col(CHUNK))
    kind = dict(narrow.dtypes)[ROW]
    compute = partial(worker.aggregates, subplan=subplan, schema=schema, chunked=chunked)
    columns = [
        f"{quoted(name)} {'string' if name.startswith(TEXT) else 'double'}"
        for name in subplan.held.values()
    ]
    held = ", ".join([f"{quoted(ROW)} {kind}", f"{quoted(SUBPLAN)} int", *columns])
    moved = narrow.repartition(*keys) if keys else narrow.repartition(1)
    return map_batches(moved, compute, held)


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
    return {number: found for number, found in chunks.items() if len(found)}


def _in_chunks(
    narrow: DataFrame, subplan: Subplan, schema: Schema, chunks: pl.DataFrame
) -> DataFrame:
    """Rows with their chunk; rows of hot keys once for each chunk that owns or sees them."""
    f = functions()
    spark = narrow.sparkSession
    named = chunks.rename({name: f"{_KEY}{place}" for place, name in enumerate(subplan.key)})
    spans = spark.createDataFrame(named.to_arrow(compat_level=pl.CompatLevel.oldest()))
    arrival, time = micros_of(schema.arrived_at or schema.time), micros_of(schema.time)
    same = reduce(
        lambda a, b: a & b,
        (col(name) == col(f"{_KEY}{at}") for at, name in enumerate(subplan.key)),
        f.lit(True),
    )
    owned = (arrival >= col(FROM)) & (arrival < col(UPTO))
    earliest = (
        narrow.join(f.broadcast(spans), same & owned).groupBy(CHUNK).agg(f.min(time).alias(_SINCE))
    )
    spans = spark.createDataFrame(spans.join(earliest, CHUNK).toArrow())
    seen = (arrival < col(UPTO)) & (time > col(_SINCE) - f.lit(subplan.horizon))
    joined = narrow.join(f.broadcast(spans), same & (owned | seen), "left")
    return joined.select(
        *(col(name) for name in narrow.columns),
        f.coalesce(col(CHUNK), f.lit(0)).cast("string").alias(CHUNK),
        f.coalesce(owned, f.lit(True)).alias(OWNED),
    )
