"""Spark tables: sessions, files, columns, and functions over record batches.

This is the only file that imports PySpark.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shroff.collect import Schema
from shroff.collect.schema import Scale
from shroff.errors import BadFile, ConfigurationError, DataError, MissingExtra, did_you_mean
from shroff.features.engines.spark import failures, worker
from shroff.features.engines.spark.files import FILE_BITS, columns_of, local_path
from shroff.features.engines.spark.worker import Compute

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession

ORDER: Final = "shroff order"
"""The column that `read_clean` adds: the place of each row in the table, as one machine reads it.
"""

_SINCE: Final = "shroff since"
_KEY: Final = "shroff key "
_BATCH_ROWS: Final = 50_000
_FOOTERS_AT_ONCE: Final = 16
_LOG_LEVEL: Final = "spark.log.level"
_LIGHT: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_TYPES: Final[dict[Scale, str]] = {
    "time": "timestamp",
    "amount": "bigint",
    "original": "bigint",
    "label": "boolean",
    "numeric": "double",
}


def read_clean(spark: SparkSession, path: str) -> DataFrame:
    """A clean table from a Parquet file or folder, with its row order as the column `ORDER`.

    The order of rows is that of files by name, and of rows within a file.

    Raises:
        BadFile: there is no Parquet at that path.
    """
    return with_order(read_parquet(spark, path))


def read_parquet(spark: SparkSession, path: str) -> DataFrame:
    """A Parquet file or folder.

    Raises:
        BadFile: there is no Parquet at that path.
    """
    functions()
    from pyspark.errors import AnalysisException

    try:
        return spark.read.parquet(path)
    except AnalysisException:
        raise BadFile(f"{path}: expected a Parquet file or a folder of them.") from None


def with_order(frame: DataFrame) -> DataFrame:
    """A table that `read_parquet` gave, with its row order as the column `ORDER`."""
    f = functions()
    file, place = f.col("_metadata.file_path"), f.col("_metadata.row_index")
    files = sorted(row[0] for row in frame.select(file).distinct().collect())
    if len(files) < 2:
        return frame.withColumn(ORDER, place)
    numbers = frame.sparkSession.createDataFrame(
        [(name, number << FILE_BITS) for number, name in enumerate(files)], [_KEY, ORDER]
    )
    placed = frame.select("*", file.alias(_KEY), place.alias(_SINCE))
    return (
        placed.join(f.broadcast(numbers), _KEY)
        .withColumn(ORDER, f.col(ORDER) + f.col(_SINCE))
        .drop(_KEY, _SINCE)
    )


def resolved(spark: SparkSession, path: str) -> str:
    """The URL of a path, which Spark's configuration may place in another file system."""
    context = spark.sparkContext
    if urlsplit(path).scheme not in ("", "file") or context._jvm is None:
        return path
    named = context._jvm.org.apache.hadoop.fs.Path(path)
    system = named.getFileSystem(context._jsc.hadoopConfiguration())
    return str(system.makeQualified(named).toUri().toString())


def collected(frame: DataFrame) -> list[Row]:
    """The rows of a table.

    Raises:
        FileNotFoundError: a worker, which may be on another machine, lacks a file or folder.
        ShroffError: a worker raised it, such as one with another release of Polars.
    """
    from pyspark.errors import PythonException

    try:
        return frame.collect()
    except PythonException as error:
        if FileNotFoundError.__name__ in str(error):
            raise FileNotFoundError from None
        if (ours := failures.ours(str(error))) is not None:
            raise ours from None
        raise


def write_new(frame: DataFrame, target: str) -> None:
    """Write a table as a folder of Parquet files.

    Raises:
        ConfigurationError: the target exists.
    """
    from pyspark.errors import AnalysisException

    try:
        frame.write.parquet(target)
    except AnalysisException as error:
        if error.getCondition() != "PATH_ALREADY_EXISTS":
            raise
        raise ConfigurationError(f"{target}: expected a target that does not exist yet.") from None


@contextmanager
def session(name: str, master: str | None = None, *, light: bool = False) -> Iterator[SparkSession]:
    """The running session, or one of this name that is stopped afterwards.

    Args:
        master: where Spark runs, such as `local[2]` or `yarn`; by default as `spark-submit` says.
        light: whether the driver's JVM, on one machine the only one, neither reads nor writes
            tables: compiling its code well would take longer than running it.

    Raises:
        MissingExtra: PySpark is not installed.
        ConfigurationError, DataError, SourceUnavailable: why Spark did not start, or a job in the
            session failed, where that is known (`failures`).
    """
    functions()
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    builder = SparkSession.Builder().appName(name)
    if light:
        builder = builder.config("spark.driver.defaultJavaOptions", _LIGHT)
    with _translated():
        spark = running or (builder.master(master) if master else builder).getOrCreate()
        try:
            context = spark.sparkContext
            if (context.master or "").startswith("local"):
                # workers on this machine are this Python, not the first `python3` of the path
                context.pythonExec = sys.executable
                if running is None and context.getConf().get(_LOG_LEVEL) is None:
                    # the traces of what is translated here
                    context.setLogLevel("FATAL")
            spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(_BATCH_ROWS))
            yield spark
        finally:
            if running is None:
                # there is nothing to stop where its process is gone
                with suppress(ConnectionError):
                    spark.stop()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise errors of Spark as errors of ours, where what they say is known."""
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JNetworkError, ConnectionRefusedError, ConnectionResetError):
        raise failures.ended() from None
    except (Py4JError, PySparkException) as error:
        said = failures.translated(f"{getattr(error, 'getCondition', str)()} {error}")
        if said is None:
            raise
        raise said from None


def require_alike(frame: DataFrame, schema: Schema) -> None:
    """Raise `DataError` where some files of a table lack a column of the schema that others have:
    Spark would read it as missing in all their rows.

    Args:
        frame: as `read_parquet` or `read_clean` gave it.
    """
    files = sorted(frame.inputFiles())
    if len(files) < 2:
        return

    def columns(name: str) -> frozenset[str]:
        path = local_path(name)
        if path is not None:
            with suppress(OSError, pa.ArrowException):
                return columns_of(path)
        return frozenset(frame.sparkSession.read.parquet(name).columns)

    import pyarrow as pa

    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        found = list(pool.map(columns, files))
    some = frozenset[str]().union(*found)
    for name, have in zip(files, found, strict=True):
        # what none of them has is in the names of folders
        for lacking in schema.scales.keys() & some - have:
            raise DataError(
                f"{name}: expected a column `{lacking}`, as other files of the table have, found "
                "none: clean all of them by one schema (`shroff collect`)."
            )


def require_columns(frame: DataFrame, schema: Schema, order: str | None) -> None:
    """Raise `DataError` unless a table has the schema's columns as cleaning leaves them."""
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


def map_batches(frame: DataFrame, compute: Compute, result: str) -> DataFrame:
    """Map the record batches of each partition; `result` is the DDL of what `compute` yields."""
    # PySpark does not quote the names by which it looks columns up
    plain = frame.toDF(*(f"c{place}" for place in range(len(frame.columns))))
    return plain.mapInArrow(
        partial(worker.named, names=tuple(frame.columns), compute=compute), result
    )


def micros_of(name: str) -> Column:
    """A column of times, in microseconds since 1970."""
    moment: Column = functions().unix_micros(col(name))
    return moment


def col(name: str) -> Column:
    """A column by its name, which may contain dots."""
    column: Column = functions().col(quoted(name))
    return column


def quoted(name: str) -> str:
    """A name as Spark SQL quotes it."""
    return "`" + name.replace("`", "``") + "`"


def functions() -> ModuleType:
    """`pyspark.sql.functions`.

    Raises:
        MissingExtra: PySpark is not installed.
    """
    try:
        import_module("pyspark.sql")
    except ModuleNotFoundError as error:
        raise MissingExtra("the Spark engine needs PySpark: pip install 'shroff[spark]'") from error
    return import_module("pyspark.sql.functions")
