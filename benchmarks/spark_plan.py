"""What the Spark engine costs per payment on this machine, beside the batch engine:
`python benchmarks/spark_plan.py`.

CPU time is that of Spark and of its Python workers together, so that the figures bear a busy
machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from pyspark.sql import SparkSession

from shroff import Entity, FeatureGroup, Schema, calendar, sql
from shroff.collect import clean, write_parquet
from shroff.features.engines.batch import compute
from shroff.features.engines.spark import Skew, compute_spark, read_clean
from shroff.features.engines.spark.frames import ORDER
from shroff.simulate import RATES, simulate

SCHEMA = Schema(
    id="transaction_id",
    time="created_at",
    amount="amount",
    currency="currency",
    rates=RATES,
    label="is_fraud",
    labelled_at="labelled_at",
    result="result",
    result_at="result_at",
    nominal=["mcc", "request_country", "account_country"],
)
CARD, ACCOUNT, HOST, MERCHANT = (
    Entity(name, f"{name}_id") for name in ("card", "account", "host", "merchant")
)
GROUP = FeatureGroup(
    "velocity",
    [
        CARD.count(["1m", "1h", "1d"]),
        CARD.count("1d", where="result = 'failed'"),
        CARD.total("amount", ["1h", "1d"]),
        CARD.mean("amount", "30d", resolution="1d"),
        CARD.distinct("host_id", "1d"),
        CARD.distinct("account_id", "1d"),
        ACCOUNT.distinct("card_id", ["1s", "1m", "1h", "1d"]),
        HOST.distinct("card_id", "1d"),
        CARD.seconds_since_last("1d"),
        MERCHANT.risk("7d", delay="7d"),
        sql("same_country", "request_country = account_country"),
        calendar("weekday"),
        calendar("part_of_day"),
    ],
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory", default="3g")
    options = parser.parse_args()
    frame = clean(
        simulate(options.rows, seed=1),
        SCHEMA.with_keys(GROUP.key_columns),
        key=b"k" * 32,
        max_bad=0.0,
    ).frame
    compute([GROUP], frame.head(1_000), SCHEMA)
    before, cpu = time.perf_counter(), time.process_time()
    compute([GROUP], frame, SCHEMA)
    row("batch", len(frame), time.perf_counter() - before, time.process_time() - cpu)
    with tempfile.TemporaryDirectory() as home:
        write_parquet(frame, Path(home) / "clean.parquet")
        print(
            f"clean Parquet: {(Path(home) / 'clean.parquet').stat().st_size / len(frame):.0f} "
            "bytes a payment"
        )
        rows = len(frame)
        del frame
        on_spark(home, rows, options.memory)


def on_spark(home: str, rows: int, memory: str) -> None:
    spark: SparkSession = (
        SparkSession.Builder()
        .master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .config("spark.driver.memory", memory)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "50000")
        .getOrCreate()
    )
    spark.sparkContext.pythonExec = sys.executable
    table = read_clean(spark, f"{home}/clean.parquet")
    compute_spark([GROUP], table.limit(2_000), SCHEMA, order=ORDER).write.parquet(f"{home}/warm")
    for name, skew in {
        "spark": Skew(),
        "spark, hot keys split": Skew(rows=max(1, rows // 200)),
    }.items():
        before, cpu, shuffled = time.perf_counter(), cpu_seconds(), shuffle_bytes(spark)
        compute_spark([GROUP], table, SCHEMA, order=ORDER, skew=skew).write.parquet(
            f"{home}/{name}"
        )
        row(name, rows, time.perf_counter() - before, cpu_seconds() - cpu)
        print(
            f"  shuffled {(shuffle_bytes(spark) - shuffled) / rows:.0f} bytes a payment, compressed"
        )
    spark.stop()


def row(name: str, rows: int, wall: float, cpu: float) -> None:
    print(
        f"{name:24} {rows:>10,} payments {wall:7.1f} s {cpu:7.1f} s of CPU {1e6 * cpu / rows:6.2f} "
        "µs a payment"
    )


def cpu_seconds() -> float:
    """CPU time of the processes below this one, from Linux's process table."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            # it ended meanwhile
            continue
        parents[int(folder.name)] = int(fields[1])
        ticks[int(folder.name)] = sum(int(field) for field in fields[11:15])
    family = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks[process] for process in family if process in ticks) / os.sysconf("SC_CLK_TCK")


def shuffle_bytes(spark: SparkSession) -> int:
    """What has been written to shuffles so far, as Spark counts it."""
    gateway = spark.sparkContext._gateway
    if gateway is None:
        raise SystemExit("expected a session of this process, not one of Spark Connect")
    quantiles = gateway.new_array(gateway.jvm.double, 0)
    store = spark._jsparkSession.sparkContext().statusStore()
    stages = store.stageList(None, False, False, quantiles, None)
    return sum(stages.apply(at).shuffleWriteBytes() for at in range(stages.size()))


if __name__ == "__main__":
    main()
