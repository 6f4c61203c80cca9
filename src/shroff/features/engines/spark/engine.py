"""The Spark side: which rows go where. This is the only file that imports PySpark."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

import polars as pl

from shroff.collect import Schema
from shroff.collect.schema import Scale
from shroff.errors import BadFile, ConfigurationError, DataError, MissingExtra, did_you_mean
from shroff.features.engines import subplans
from shroff.features.engines.spark import worker
from shroff.features.engines.spark.skew import ARRIVAL, FROM, UPTO, USUAL, Skew, ranges
from shroff.features.engines.spark.worker import CHUNK, OWNED, SUBPLAN, Compute
from shroff.features.engines.subplans import ROW, TEXT, Subplan
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

ORDER: Final = "shroff order"
"""The column that `read_clean` adds: the place of each row in the table, as one machine reads it.
"""

_SINCE: Final = "shroff since"
_KEY: Final = "shroff key "
_ROW_INDEX_BITS: Final = 40
_BATCH_ROWS: Final = 50_000
_TYPES: Final[dict[Scale, str]] = {
    "time": "timestamp",
    "amount": "bigint",
    "original": "bigint",
    "label": "boolean",
    "numeric": "double",
}


def compute_spark(
    groups: Sequence[FeatureGroup],
    frame: DataFrame,
    schema: Schema,
    *,
    order: str | None = None,
    skew: Skew | None = USUAL,
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
    _functions()
    plan = Plan(groups, schema)
    _check(frame, plan.schema, order)
    plan.require_one_currency(partial(_codes, frame, plan.schema))
    found = subplans.subplans(plan)
    result = _types(plan)
    columns = subplans.payment_columns(plan)
    if not found:
        return _map(
            frame.select(*map(_col, columns)),
            partial(worker.alone, groups=tuple(groups), schema=schema),
            result,
        )
    row = order or plan.schema.id
    chunks = {} if skew is None else _hot_chunks(frame, found, plan.schema, skew)
    held = [
        _held(frame, subplan, plan.schema, row, chunks.get(subplan.number)) for subplan in found
    ]
    together = _together(frame.select(_col(row).alias(ROW), *map(_col, columns)), held)
    assemble = partial(worker.assemble, groups=tuple(groups), schema=schema)
    return _map(together.repartition(_col(ROW)), assemble, result)


def read_clean(spark: SparkSession, path: str) -> DataFrame:
    """A clean table from a Parquet file or folder, with its row order as the column `ORDER`.

    The order of rows is that of files by name, and of rows within a file.

    Raises:
        BadFile: there is no Parquet at that path.
    """
    functions = _functions()
    from pyspark.errors import AnalysisException

    try:
        frame = spark.read.parquet(path)
    except AnalysisException:
        raise BadFile(f"{path}: expected a Parquet file or a folder of them.") from None
    file, place = functions.col("_metadata.file_path"), functions.col("_metadata.row_index")
    files = sorted(row[0] for row in frame.select(file).distinct().collect())
    if len(files) < 2:
        return frame.withColumn(ORDER, place)
    numbers = spark.createDataFrame(
        [(name, number << _ROW_INDEX_BITS) for number, name in enumerate(files)], [_KEY, ORDER]
    )
    placed = frame.select("*", file.alias(_KEY), place.alias(_SINCE))
    return (
        placed.join(functions.broadcast(numbers), _KEY)
        .withColumn(ORDER, functions.col(ORDER) + functions.col(_SINCE))
        .drop(_KEY, _SINCE)
    )


def features_job(
    plan: Plan,
    source: str,
    target: str,
    *,
    master: str | None = None,
    skew: Skew | None = USUAL,
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
    _functions()
    from pyspark.errors import AnalysisException

    with session("shroff features", master) as spark:
        features = compute_spark(
            plan.groups, read_clean(spark, source), plan.schema, order=ORDER, skew=skew
        )
        try:
            features.write.parquet(target)
        except AnalysisException as error:
            if error.getCondition() != "PATH_ALREADY_EXISTS":
                raise
            raise ConfigurationError(
                f"{target}: expected a target that does not exist yet."
            ) from None
        return spark.read.parquet(target).count()


@contextmanager
def session(name: str, master: str | None = None) -> Iterator[SparkSession]:
    """The running session, or one of this name that is stopped afterwards.

    Args:
        master: where Spark runs, such as `local[2]` or `yarn`; by default as `spark-submit` says.

    Raises:
        MissingExtra: PySpark is not installed.
    """
    _functions()
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    builder = SparkSession.Builder().appName(name)
    spark = running or (builder.master(master) if master else builder).getOrCreate()
    try:
        if (spark.sparkContext.master or "").startswith("local"):
            # workers on this machine are this Python, not the first `python3` of the path
            spark.sparkContext.pythonExec = sys.executable
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(_BATCH_ROWS))
        yield spark
    finally:
        if running is None:
            spark.stop()


def payments_before(
    frame: DataFrame, schema: Schema, before: int | None
) -> tuple[DataFrame, int, int]:
    """The payments that happened and arrived before a moment, microseconds since 1970.

    Returns:
        The payments, how many there are, and when the last of them happened or arrived.

    Raises:
        DataError: the table lacks a column or has it in another type.
    """
    functions = _functions()
    _check(frame, schema, None)
    moments = [_micros(name) for name in (schema.time, schema.arrived_at) if name is not None]
    earlier = (
        frame
        if before is None
        else frame.where(reduce(lambda a, b: a & b, (at < before for at in moments)))
    )
    ((rows, *last),) = earlier.agg(functions.count("*"), *map(functions.max, moments)).collect()
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
    keys = list(map(_col, by))
    narrow = frame.select(*map(_col, columns))
    if keys:
        narrow = narrow.where(
            reduce(lambda a, b: a & b, (key.isNotNull() for key in keys))
        ).repartition(*keys)
    found = _map(narrow, compute, result)
    *names, number = found.columns
    total = found.groupBy(*map(_col, names)).agg(_functions().sum(_col(number)).alias(number))
    return pl.DataFrame(pl.from_arrow(total.toArrow()))


def _check(frame: DataFrame, schema: Schema, order: str | None) -> None:
    have = dict(frame.dtypes)
    if order is not None and order not in have:
        raise DataError(
            f"expected a column `{order}` for the order of rows, found "
            f"none{did_you_mean(order, have)}"
        )
    for name, scale in schema.scales.items():
        wanted = _TYPES.get(scale, "string")
        if name not in have:
            hint = did_you_mean(name, have) or "."
            raise DataError(
                f"expected a clean table with a column `{name}` ({wanted}), found none{hint}"
            )
        if have[name] != wanted:
            raise DataError(
                f"column `{name}`: expected {wanted}, as cleaning leaves it, got {have[name]}: "
                "clean the table first."
            )


def _codes(frame: DataFrame, schema: Schema) -> list[str]:
    """The different currency codes of a table."""
    return [row[0] for row in frame.select(_col(str(schema.currency))).distinct().collect()]


def _types(plan: Plan) -> str:
    """The columns of the result, as Spark's DDL."""
    kinds = {name: "string" if kind == "text" else "double" for name, kind in plan.kinds.items()}
    return ", ".join(
        f"{_quoted(name)} {kind}" for name, kind in {plan.schema.id: "string", **kinds}.items()
    )


def _together(payments: DataFrame, held: Sequence[DataFrame]) -> DataFrame:
    """The union of payments and aggregates, in flat columns, which are cheap to hand to Python."""
    functions = _functions()
    kinds = {name: kind for frame in held for name, kind in frame.dtypes[2:]}
    none = {
        name: functions.lit(None).cast(kind).alias(name)
        for name, kind in (*kinds.items(), *payments.dtypes[1:])
    }
    row, *own = payments.columns
    first = payments.select(
        _col(row), functions.lit(0).alias(SUBPLAN), *(none[name] for name in kinds), *map(_col, own)
    )
    others = [
        frame.select(
            *(
                _col(name) if name in frame.columns else none[name]
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
    keyed = frame.where(
        reduce(lambda a, b: a & b, (_col(name).isNotNull() for name in subplan.key))
    )
    narrow = keyed.select(
        _col(row).alias(ROW), *(_col(name) for name in subplan.columns_of(frame.columns))
    )
    keys = [_col(name) for name in subplan.key]
    chunked = chunks is not None
    if chunks is not None:
        narrow = _in_chunks(narrow, subplan, schema, chunks)
        keys.append(_col(CHUNK))
    kind = dict(narrow.dtypes)[ROW]
    compute = partial(worker.aggregates, subplan=subplan, schema=schema, chunked=chunked)
    columns = [
        f"{_quoted(name)} {'string' if name.startswith(TEXT) else 'double'}"
        for name in subplan.held.values()
    ]
    held = ", ".join([f"{_quoted(ROW)} {kind}", f"{_quoted(SUBPLAN)} int", *columns])
    return _map(narrow.repartition(*keys), compute, held)


def _map(frame: DataFrame, compute: Compute, result: str) -> DataFrame:
    """Map the record batches of each partition; `result` is the DDL of what `compute` yields."""
    # PySpark does not quote the names by which it looks columns up
    plain = frame.toDF(*(f"c{place}" for place in range(len(frame.columns))))
    return plain.mapInArrow(
        partial(worker.named, names=tuple(frame.columns), compute=compute), result
    )


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
        *(_col(name) for name in keys), _micros(schema.arrived_at or schema.time).alias(ARRIVAL)
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
    functions = _functions()
    spark = narrow.sparkSession
    named = chunks.rename({name: f"{_KEY}{place}" for place, name in enumerate(subplan.key)})
    spans = spark.createDataFrame(named.to_arrow(compat_level=pl.CompatLevel.oldest()))
    arrival, time = _micros(schema.arrived_at or schema.time), _micros(schema.time)
    same = reduce(
        lambda a, b: a & b,
        (_col(name) == _col(f"{_KEY}{at}") for at, name in enumerate(subplan.key)),
    )
    owned = (arrival >= _col(FROM)) & (arrival < _col(UPTO))
    earliest = (
        narrow.join(functions.broadcast(spans), same & owned)
        .groupBy(CHUNK)
        .agg(functions.min(time).alias(_SINCE))
    )
    spans = spark.createDataFrame(spans.join(earliest, CHUNK).toArrow())
    seen = (arrival < _col(UPTO)) & (time > _col(_SINCE) - functions.lit(subplan.horizon))
    joined = narrow.join(functions.broadcast(spans), same & (owned | seen), "left")
    return joined.select(
        *(_col(name) for name in narrow.columns),
        functions.coalesce(_col(CHUNK), functions.lit(0)).cast("string").alias(CHUNK),
        functions.coalesce(owned, functions.lit(True)).alias(OWNED),
    )


def _micros(name: str) -> Column:
    moment: Column = _functions().unix_micros(_col(name))
    return moment


def _col(name: str) -> Column:
    column: Column = _functions().col(_quoted(name))
    return column


def _quoted(name: str) -> str:
    # names may contain dots, which Spark reads as fields
    return "`" + name.replace("`", "``") + "`"


def _functions() -> ModuleType:
    try:
        import_module("pyspark.sql")
    except ModuleNotFoundError as error:
        raise MissingExtra("the Spark engine needs PySpark: pip install 'shroff[spark]'") from error
    return import_module("pyspark.sql.functions")
