"""The Spark engine: which rows go where, and what is computed over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import polars as pl

from shroff.collect import Schema
from shroff.features.engines import subplans
from shroff.features.engines.spark import worker
from shroff.features.engines.spark.blocks import DDL
from shroff.features.engines.spark.files import (
    WRITTEN,
    local_path,
    pieces,
    write_folder,
    write_parts,
)
from shroff.features.engines.spark.frames import (
    ORDER,
    col,
    collected,
    functions,
    map_batches,
    micros_of,
    quoted,
    read_parquet,
    require_alike,
    require_columns,
    resolved,
    session,
    with_order,
    write_new,
)
from shroff.features.engines.spark.skew import DEFAULT_SKEW, Skew, ranges
from shroff.features.engines.spark.table import ClusterTable
from shroff.features.engines.spark.worker import CHUNK, FROM, SINCE, UPTO, Route, TableCompute
from shroff.features.engines.subplans import Subplan
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
    table = ClusterTable(frame, order or schema.id)
    require_columns(frame, plan.schema, order)
    return _computed(plan, table, skew, worker.in_batches, _types(plan))


def features_job(
    plan: Plan,
    source: str,
    target: str,
    *,
    master: str | None = None,
    skew: Skew | None = DEFAULT_SKEW,
) -> int:
    """Compute a project's features over a clean Parquet table into a folder of Parquet files.

    Workers read and write files of `file:` themselves; those of other systems Spark does.

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
        ConfigurationError: the target exists, or either is a `file:` that machines do not share.
    """
    light = all(urlsplit(path).scheme in ("", "file") for path in (source, target))
    with session("shroff features", master, light=light) as spark:
        table = _table(plan, read_parquet(spark, source))
        folder = local_path(resolved(spark, target))
        if folder is None:
            write_new(_computed(plan, table, skew, worker.in_batches, _types(plan)), target)
            return spark.read.parquet(target).count()

        def written(staged: Path) -> list[tuple[str, int]]:
            finish = partial(write_parts, folder=staged)
            done = collected(_computed(plan, table, skew, finish, WRITTEN))
            return [(str(name), int(rows)) for name, rows in done]

        return write_folder(folder, _empty(plan), written)


def _table(plan: Plan, frame: DataFrame) -> ClusterTable:
    """The rows of a Parquet table, which workers read where they can."""
    require_columns(frame, plan.schema, None)
    require_alike(frame, plan.schema)
    paths = [local_path(name) for name in sorted(frame.inputFiles())]
    kinds = dict(frame.dtypes)
    read = _columns(plan, subplans.subplans(plan), frame)
    tasks = frame.sparkSession.sparkContext.defaultParallelism
    found = pieces(paths, {name: kinds[name] for name in read}, tasks)
    return ClusterTable(frame, ORDER, found) if found else ClusterTable(with_order(frame), ORDER)


def _columns(plan: Plan, found: Sequence[Subplan], frame: DataFrame) -> tuple[str, ...]:
    """The columns of a table that any feature reads."""
    of_keys = (name for subplan in found for name in subplan.columns_of(frame.columns))
    return tuple(dict.fromkeys((*subplans.payment_columns(plan), *of_keys)))


def _computed(
    plan: Plan, table: ClusterTable, skew: Skew | None, finish: TableCompute, result: str
) -> DataFrame:
    """What `finish` makes of the features of a table's payments; `result` are its columns."""
    schema, groups = plan.schema, tuple(plan.groups)
    plan.require_one_currency(partial(_codes, table.frame, schema))
    found = subplans.subplans(plan)
    columns = subplans.payment_columns(plan)
    if not found:
        alone = partial(worker.alone, groups=groups, schema=schema, finish=finish)
        return table.map(columns, alone, result)
    chunks = {} if skew is None else _hot_chunks(table, found, schema, skew)
    parts = table.parts()
    homes = table.homes(parts)
    scatter = partial(
        worker.scatter,
        routes=_routes(found, chunks, table.frame),
        own=columns,
        arrival=schema.arrived_at or schema.time,
        time=schema.time,
        parts=parts,
        homes=homes,
    )
    aggregates = partial(
        worker.aggregates,
        found=found,
        schema=schema,
        chunked=frozenset(chunks),
        parts=parts,
        homes=homes,
    )
    assemble = partial(
        worker.assemble, groups=groups, schema=schema, own=columns, homes=homes, finish=finish
    )
    scattered = table.map(_columns(plan, found, table.frame), scatter, DDL)
    held = map_batches(table.shuffled(scattered, len(parts.numbers)), aggregates, DDL)
    return map_batches(table.shuffled(held, len(homes)), assemble, result)


def _routes(
    found: Sequence[Subplan], chunks: Mapping[int, pl.DataFrame], frame: DataFrame
) -> list[Route]:
    return [
        Route(
            subplan.number,
            subplan.key,
            subplan.columns_of(frame.columns),
            subplan.horizon,
            chunks.get(subplan.number),
        )
        for subplan in found
    ]


def _codes(frame: DataFrame, schema: Schema) -> list[str]:
    """The different currency codes of a table."""
    return [row[0] for row in frame.select(col(str(schema.currency))).distinct().collect()]


def _empty(plan: Plan) -> pl.DataFrame:
    """The result of no payments."""
    kinds = {name: pl.String if kind == "text" else pl.Float64 for name, kind in plan.kinds.items()}
    return pl.DataFrame(schema={plan.schema.id: pl.String, **kinds})


def _types(plan: Plan) -> str:
    """The columns of the result, as Spark's DDL."""
    kinds = {name: "string" if kind == "text" else "double" for name, kind in plan.kinds.items()}
    return ", ".join(
        f"{quoted(name)} {kind}" for name, kind in {plan.schema.id: "string", **kinds}.items()
    )


def _hot_chunks(
    table: ClusterTable, found: Sequence[Subplan], schema: Schema, skew: Skew
) -> dict[int, pl.DataFrame]:
    """The chunks of hot keys by subplan; subplans without hot keys are left out."""
    rows = table.count()
    if rows <= skew.rows:
        return {}
    keys = tuple(dict.fromkeys(name for subplan in found for name in subplan.key))
    share = min(1.0, skew.sample / rows)
    sample = table.sample(keys, schema.arrived_at or schema.time, share)
    chunks = {
        subplan.number: ranges(sample, subplan, skew, weight=1.0 / share) for subplan in found
    }
    return {
        subplan.number: _with_earliest(table.frame, subplan, schema, chunks[subplan.number])
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
