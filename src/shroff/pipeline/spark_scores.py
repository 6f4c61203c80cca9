"""A whole log scored on a cluster: features by the Spark engine, the model in Spark's workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from shroff.collect.currencies import require_only
from shroff.decide.decider import Decider, scoring_decider
from shroff.errors import DataError
from shroff.features.engines.spark import compute_spark, read_clean
from shroff.features.engines.spark.frames import (
    ORDER,
    col,
    map_batches,
    quoted,
    require_alike,
    session,
    write_new,
)
from shroff.features.engines.spark.worker import batches_of, table_of
from shroff.features.plan import Plan
from shroff.package import Bundle, unpack
from shroff.package.files import Files
from shroff.package.trial import PassedTrial, passed, trust
from shroff.pipeline.scores import ScoredLog, columns_decided, decide

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_TYPES: Final[dict[str, str]] = {
    "Float64": "double",
    "List(String)": "array<string>",
    "String": "string",
}
_loaded: dict[str, tuple[Bundle, Decider]] = {}
"""Bundles by digest: a worker process decides many partitions."""


def score_job(files: Files, source: str, target: str, *, master: str | None = None) -> ScoredLog:
    """Score a clean Parquet table into a folder of Parquet files, with the decisions that
    `score_log` gives, in any row order.

    Args:
        files: the bundle.
        source: a file, folder or URL that every machine of the cluster can read (`shroff collect`
            writes one).
        target: a folder or URL that is not there yet.
        master: where Spark runs, such as `local[2]` or `yarn`; by default as `spark-submit` says.

    Raises:
        MissingExtra: PySpark is not installed.
        BadFile: the source is no Parquet.
        BundleError: the model cannot score.
        DataError: the source is no clean table of the bundle's schema, or has an id twice.
        MixedCurrencies: its payments are in another currency than those that the bundle learned
            from.
        ConfigurationError: the target exists.
    """
    bundle = unpack(files)
    scoring_decider(bundle)
    schema, plan = bundle.schema, Plan(bundle.groups, bundle.schema)
    with session("shroff score", master) as spark:
        # by default Spark writes times without a zone
        spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        table = read_clean(spark, source)
        require_alike(table, schema)
        _require_scorable(table, bundle, source)
        features = compute_spark(bundle.groups, table, schema, order=ORDER)
        columns = [*schema.scales, *plan.names]
        joined = table.join(features, schema.id).select(*map(col, columns))
        assess = partial(_decided, files=files, verdicts=passed())
        write_new(map_batches(joined, assess, _result(bundle)), target)
        written = spark.read.parquet(target)
        actions = {str(row[0]): int(row[1]) for row in written.groupBy("action").count().collect()}
        unscored = written.where(col("probability").isNull()).count()
    return ScoredLog(payments=sum(actions.values()), actions=actions, unscored=unscored)


def _require_scorable(table: DataFrame, bundle: Bundle, source: str) -> None:
    schema = bundle.schema
    identifiers = table.select(col(schema.id))
    if identifiers.distinct().count() != identifiers.count():
        raise DataError(f"{source}: expected another `{schema.id}` in every row, got one twice.")
    if schema.currency is not None:
        codes = [row[0] for row in table.select(col(schema.currency)).distinct().collect()]
        require_only(bundle.currency, codes, schema, source)


def _result(bundle: Bundle) -> str:
    """The columns of scored payments, as Spark's DDL."""
    reasons = "array<struct<code: string, feature: string, text: string>>"
    special = {bundle.schema.time: "timestamp", "reasons": reasons}
    return ", ".join(
        f"{quoted(name)} {special.get(name) or _TYPES[str(kind)]}"
        for name, kind in columns_decided(bundle.schema).items()
    )


def _decided(
    batches: Iterable[pa.RecordBatch], files: Files, verdicts: Mapping[bytes, PassedTrial]
) -> Iterator[pa.RecordBatch]:
    """What runs inside Spark's Python workers: payments with their features, decided."""
    trust(verdicts)
    if files.digest not in _loaded:
        bundle = unpack(files)
        _loaded[files.digest] = bundle, scoring_decider(bundle)
    bundle, decider = _loaded[files.digest]
    names = Plan(bundle.groups, bundle.schema).names
    for batch in batches:
        table = table_of([batch])
        if table is not None:
            features = table.select(bundle.schema.id, *names)
            yield from batches_of(decide(decider, bundle, table, features))
