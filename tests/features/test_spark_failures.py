"""Why a Spark job failed is one sentence: what Spark and Java say for real, and texts of theirs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from features.test_spark import GROUP, SCHEMA, payments
from shroff.errors import BadFile, ConfigurationError, DataError, SourceUnavailable
from shroff.features.engines.spark import features_job, read_clean
from shroff.features.engines.spark.failures import ended, translated
from shroff.features.engines.spark.files import Piece
from shroff.features.engines.spark.files import read as read_piece
from shroff.features.engines.spark.frames import require_alike, session
from shroff.features.plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

PLAN = Plan([GROUP], SCHEMA)


def parts(folder: Path, *tables: pl.DataFrame) -> str:
    """A table in several files."""
    folder.mkdir()
    for number, table in enumerate(tables):
        table.write_parquet(folder / f"{number}.parquet")
    return str(folder)


def test_a_file_that_lacks_a_column_or_has_another_type_of_it_is_named(
    spark: SparkSession, tmp_path: Path
) -> None:
    table, target = payments(20), str(tmp_path / "features")
    lacking = parts(tmp_path / "lacking", table[:10], table[10:].drop("card"))
    with pytest.raises(DataError, match=r"1\.parquet: expected a column `card`, as other files"):
        features_job(PLAN, lacking, target)
    other = parts(tmp_path / "other", table[:10], table[10:].cast({"eur": pl.String}))
    with pytest.raises(DataError, match=r"1\.parquet: column `eur`: expected bigint, as in other"):
        features_job(PLAN, other, target)
    # what no job reads may be anywhere, or nowhere
    more = parts(tmp_path / "more", table[:10], table[10:].with_columns(note=pl.lit("x")))
    require_alike(read_clean(spark, more), SCHEMA)


def test_what_is_no_parquet_is_named(spark: SparkSession, tmp_path: Path) -> None:
    table, target = payments(20), str(tmp_path / "features")
    (tmp_path / "log.csv").write_text("id,at\n1,2\n" * 9)
    with pytest.raises(BadFile, match=r"log\.csv: expected a Parquet file"):
        features_job(PLAN, str(tmp_path / "log.csv"), target)
    folder = Path(parts(tmp_path / "mixed", table))
    (folder / "1.parquet").write_bytes(b"no table at all")
    with pytest.raises(BadFile, match=r"1\.parquet: expected a Parquet file"):
        features_job(PLAN, str(folder), target)
    damaged = Path(parts(tmp_path / "damaged", payments(2_000))) / "0.parquet"
    content = bytearray(damaged.read_bytes())
    content[64:20_000] = b"\xff" * (20_000 - 64)
    damaged.write_bytes(content)
    with pytest.raises(BadFile, match=r"0\.parquet: expected a Parquet file"):
        features_job(PLAN, str(damaged.parent), target)
    with pytest.raises(BadFile, match=r"0\.parquet: expected a Parquet file that can be read"):
        read_piece(Piece(str(damaged), 0, 2_000, 0), ["id", "card", "at"])


def test_a_file_system_that_is_unknown_or_away_is_named(
    spark: SparkSession, tmp_path: Path
) -> None:
    target = str(tmp_path / "features")
    with pytest.raises(ConfigurationError, match="a file system that this Spark knows, got `foo:`"):
        features_job(PLAN, "foo://bank/clean", target)
    with pytest.raises(ConfigurationError, match=r"lacks the Java class .*S3AFileSystem"):
        features_job(PLAN, "s3a://bank/clean", target)
    with pytest.raises(SourceUnavailable, match=r"does not answer \(localhost:1\)"):
        features_job(PLAN, "hdfs://localhost:1/clean", target)
    blocked = tmp_path / "file"
    blocked.touch()
    source = parts(tmp_path / "clean", payments(3))
    with pytest.raises(ConfigurationError, match="expected a folder that can be made"):
        features_job(PLAN, source, str(blocked / "features"))


def test_a_worker_without_memory_is_named(spark: SparkSession) -> None:
    def full(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise MemoryError

    def killed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield from batches

    for work in (full, killed):
        with (
            pytest.raises(ConfigurationError, match="a Python worker of Spark ended, most often"),
            session("test") as running,
        ):
            running.range(1).mapInArrow(work, "id bigint").collect()
    with pytest.raises(Exception, match="not known"), session("test") as running:
        raise RuntimeError("not known")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("java.lang.OutOfMemoryError: Java heap space", "a task of Spark ran out of memory"),
        ("x: java.io.IOException: No space left on device", "is full: make room"),
        ("[JAVA_GATEWAY_EXITED] Java gateway process exited", "expected Java 17 or newer"),
        ("SparkException: Could not parse Master URL: 'foo'", "a Spark master, .* got `foo`"),
        ("All masters are unresponsive! Giving up.", "the Spark master does not answer"),
        (
            "IllegalStateException: Cannot call methods on a stopped SparkContext.\n",
            "has ended the",
        ),
        ("ModuleNotFoundError: No module named 'pyarrow'\n", "has no `pyarrow`"),
        ("[PYTHON_VERSION_MISMATCH] Python in worker", "another version of Python"),
        ("java.net.UnknownHostException: nowhere", r"does not answer \(nowhere\)"),
        (
            "AccessControlException: Permission denied: user=x, access=READ, inode='/clean'",
            "may not read or write .* inode='/clean'",
        ),
        (
            "java.io.IOException: Mkdirs failed to create file:/out/x/_temporary/0",
            "file:/out/x: expected a folder that Spark can make",
        ),
        (
            "Traceback …\nshroff.errors.DataError: expected another id in every row.\n",
            "^expected another id in every row.$",
        ),
    ],
)
def test_what_spark_and_java_say_is_known(said: str, told: str) -> None:
    with pytest.raises((ConfigurationError, DataError, SourceUnavailable), match=told) as caught:
        raise translated(said) or AssertionError(said)
    assert "\n" not in str(caught.value)


def test_what_nobody_knows_stays_as_it_is() -> None:
    assert translated("java.lang.IllegalStateException: a defect") is None
    assert "--driver-memory" in str(ended())
