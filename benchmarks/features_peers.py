"""The features of `benchmarks.features`, as Shroff and other systems build them, and the table that
all of them read. `benchmarks.features` runs each in a process of its own, which prints as JSON how
many seconds it took:

    python -m benchmarks.features_peers SYSTEM SOURCE TARGET REPEAT
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import polars as pl

from benchmarks.processes import processor_seconds
from shroff import Entity, FeatureGroup, Schema, calendar, sql
from shroff.features.engines.batch import compute
from shroff.features.plan import Plan

DAYS = (1, 7, 30)
DELAY = 7
COLUMNS = [
    *(f"{what}_{days}" for days in DAYS for what in ("customer_count", "customer_mean")),
    *(f"{what}_{days}" for days in DAYS for what in ("terminal_count", "terminal_risk")),
    "weekend",
    "night",
]


def prepare(source: Path | None, rows: int | None, target: Path) -> int:
    """Write the table that every system reads: id, at, customer, terminal, cents, fraud; sorted by
    time. Our Spark engine reads it as cleaning leaves it.
    """
    if source is not None:
        frame = pl.read_parquet(source).select(
            id=pl.col("TRANSACTION_ID").cast(pl.Int64),
            at=pl.col("TX_DATETIME").cast(pl.Datetime("us")),
            customer=pl.col("CUSTOMER_ID").cast(pl.String),
            terminal=pl.col("TERMINAL_ID").cast(pl.String),
            cents=(pl.col("TX_AMOUNT") * 100).round().cast(pl.Int64),
            fraud=pl.col("TX_FRAUD").cast(pl.Boolean),
        )
        frame = frame if rows is None else frame[:rows]
    else:
        frame = simulated(rows or 1_000_000)
    frame.write_parquet(target)
    clean(frame).with_columns(pl.col("id").cast(pl.String)).write_parquet(cleaned(target))
    return len(frame)


def cleaned(table: Path) -> Path:
    """Where `prepare` puts the clean table."""
    return table.with_suffix(".clean.parquet")


def clean(frame: pl.DataFrame) -> pl.DataFrame:
    """Times in UTC."""
    return frame.with_columns(pl.col("at").dt.replace_time_zone("UTC"))


def simulated(rows: int) -> pl.DataFrame:
    """Simulated payments over half a year: a card is a customer, a merchant a terminal."""
    from shroff.simulate import simulate

    return (
        simulate(rows, days=183)
        .select(
            at=pl.col("created_at").dt.replace_time_zone(None),
            customer="card_id",
            terminal="merchant_id",
            cents=(pl.col("amount") * 100).round().cast(pl.Int64),
            fraud=pl.col("is_fraud").cast(pl.Boolean),
        )
        .with_row_index("id")
        .cast({"id": pl.Int64})
    )


def definitions() -> tuple[FeatureGroup, Schema, list[pl.Expr]]:
    """Our group and schema, and how its features are called here."""
    windows = [f"{days}d" for days in DAYS]
    customer, terminal = Entity("customer", "customer"), Entity("terminal", "terminal")
    schema = Schema(
        id="id", time="at", amount="cents", label="fraud", keys=["customer", "terminal"]
    )
    group = FeatureGroup(
        "handbook",
        [
            customer.count(windows, include_current=True),
            customer.mean("cents", windows, include_current=True),
            terminal.count(windows, delay=f"{DELAY}d"),
            terminal.risk(windows, delay=f"{DELAY}d"),
            calendar("weekend"),
            calendar("hour"),
            sql("night", "hour <= 6"),
        ],
    )
    named = {f"customer_count_{days}": f"customer_count_{days}d_with_current" for days in DAYS}
    named |= {f"customer_mean_{days}": f"customer_mean_cents_{days}d_with_current" for days in DAYS}
    for what in ("terminal_count", "terminal_risk"):
        named |= {f"{what}_{days}": f"{what}_{days}d_delay_{DELAY}d" for days in DAYS}
    return (
        group,
        schema,
        [pl.col("id"), *(pl.col(named.get(name, name)).alias(name) for name in COLUMNS)],
    )


def with_shroff(frame: pl.DataFrame) -> pl.DataFrame:
    """Our batch engine."""
    group, schema, named = definitions()
    return compute([group], clean(frame), schema).select(named)


def with_polars(frame: pl.DataFrame) -> pl.DataFrame:
    """Polars' rolling expressions over each key; late windows are the difference of two, for lack
    of an offset. Keys as categories and sums of 32 bits take a sixth less time than texts and
    doubles.
    """

    def total(column: str, days: int, key: str) -> pl.Expr:
        return pl.col(column).rolling_sum_by("at", window_size=f"{days}d", closed="right").over(key)

    columns: dict[str, pl.Expr] = {}
    for days in DAYS:
        columns[f"customer_count_{days}"] = total("one", days, "customer")
        columns[f"customer_mean_{days}"] = (
            total("cents", days, "customer") / total("one", days, "customer") / 100
        )
        count = total("one", days + DELAY, "terminal") - total("one", DELAY, "terminal")
        fraud = total("fraud", days + DELAY, "terminal") - total("fraud", DELAY, "terminal")
        columns[f"terminal_count_{days}"] = count
        columns[f"terminal_risk_{days}"] = pl.when(count > 0).then(fraud / count).otherwise(0.0)
    columns["weekend"] = (pl.col("at").dt.weekday() >= 6).cast(pl.Float64)
    columns["night"] = (pl.col("at").dt.hour() <= 6).cast(pl.Float64)
    table = frame.lazy().with_columns(
        pl.col("customer", "terminal").cast(pl.Categorical),
        pl.col("fraud").cast(pl.UInt32),
        one=pl.lit(1, pl.UInt32),
    )
    return table.select(
        "id", *(expression.alias(name) for name, expression in columns.items())
    ).collect()


def with_duckdb(frame: pl.DataFrame) -> pl.DataFrame:
    """SQL window functions; `w - 1` preceding microseconds are the half-open window."""
    import duckdb

    connection = duckdb.connect()
    connection.register("frame", frame.to_arrow())
    seconds = """(SELECT *, epoch_us("at") AS s FROM frame)"""
    calendar = (
        """CAST(isodow("at") >= 6 AS DOUBLE) AS weekend, CAST(hour("at") <= 6 AS DOUBLE) AS night"""
    )
    result = pl.DataFrame(connection.execute(windows_in_sql(seconds, calendar)).to_arrow_table())
    return result.sort("id").select("id", *COLUMNS)


def windows_in_sql(source: str, calendar: str) -> str:
    """The features as SQL windows over a table with microseconds `s`."""
    day = 86_400_000_000
    windows, columns = [], []
    for days in DAYS:
        windows += [
            f"c{days} AS (PARTITION BY customer ORDER BY s RANGE BETWEEN {days * day - 1} "
            "PRECEDING AND CURRENT ROW)",
            f"t{days} AS (PARTITION BY terminal ORDER BY s RANGE BETWEEN "
            f"{(days + DELAY) * day - 1} PRECEDING AND {DELAY * day} PRECEDING)",
        ]
        columns += [
            f"CAST(count(*) OVER c{days} AS DOUBLE) AS customer_count_{days}",
            f"avg(cents) OVER c{days} / 100 AS customer_mean_{days}",
            f"CAST(count(*) OVER t{days} AS DOUBLE) AS terminal_count_{days}",
            f"coalesce(avg(CAST(fraud AS INT)) OVER t{days}, 0) AS terminal_risk_{days}",
        ]
    return f"SELECT id, {', '.join(columns)}, {calendar} FROM {source} WINDOW {', '.join(windows)}"


def with_pandas(frame: pl.DataFrame) -> pl.DataFrame:
    """As notebooks do it: a rolling window per group, late windows as the difference of two."""
    table = frame.to_pandas().set_index("at")
    table["night"] = (table.index.hour <= 6).astype(float)
    table["weekend"] = (table.index.weekday >= 5).astype(float)
    by_customer = table.groupby("customer", sort=True)["cents"]
    customers = table.reset_index().sort_values(["customer", "at"], kind="stable").index
    terminals = table.reset_index().sort_values(["terminal", "at"], kind="stable").index
    by_terminal = table.groupby("terminal", sort=True)["fraud"]
    columns: dict[str, np.ndarray] = {"id": table["id"].to_numpy()}

    def spread(values: np.ndarray, order: np.ndarray) -> np.ndarray:
        out = np.empty(len(values))
        out[order] = values
        return out

    recent = by_terminal.rolling(f"{DELAY}d")
    recent_count, recent_fraud = recent.count().to_numpy(), recent.sum().to_numpy()
    for days in DAYS:
        rolled = by_customer.rolling(f"{days}d")
        columns[f"customer_count_{days}"] = spread(rolled.count().to_numpy(), customers)
        columns[f"customer_mean_{days}"] = spread(rolled.mean().to_numpy() / 100, customers)
        longer = by_terminal.rolling(f"{days + DELAY}d")
        count = longer.count().to_numpy() - recent_count
        fraud = longer.sum().to_numpy() - recent_fraud
        columns[f"terminal_count_{days}"] = spread(count, terminals)
        columns[f"terminal_risk_{days}"] = spread(
            np.divide(fraud, count, out=np.zeros(len(count)), where=count > 0), terminals
        )
    columns |= {name: table[name].to_numpy() for name in ("weekend", "night")}
    return pl.DataFrame(columns).select("id", *COLUMNS)


def with_spark(source: Path, target: Path, *, native: bool) -> float:
    """Spark on two cores, from Parquet to Parquet: SQL windows, or our Spark engine; gives its
    processor seconds.
    """
    from shroff.features.engines.spark import features_job
    from shroff.features.engines.spark.frames import session

    # as docs/spark.md asks for; SQL has no Python workers
    os.environ["POLARS_MAX_THREADS"] = "1"
    settings = "--conf spark.ui.enabled=false --driver-memory 8g"
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{settings} pyspark-shell"
    # as a job of ours starts it; what Spark computes itself it should also compile well
    with session("features", "local[2]", light=not native) as spark:
        if native:
            spark.conf.set("spark.sql.session.timeZone", "UTC")
            spark.read.parquet(str(source)).createOrReplaceTempView("frame")
            seconds = (
                "(SELECT * EXCEPT (`at`), timestamp(`at`) AS `at`, "
                "unix_micros(timestamp(`at`)) AS s FROM frame)"
            )
            calendar = "double(weekday(`at`) >= 5) AS weekend, double(hour(`at`) <= 6) AS night"
            spark.sql(windows_in_sql(seconds, calendar)).write.parquet(str(target))
        else:
            group, schema, _ = definitions()
            features_job(Plan([group], schema), str(cleaned(source)), str(target))
        return processor_seconds(os.getpid())


SYSTEMS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "shroff": with_shroff,
    "polars": with_polars,
    "duckdb": with_duckdb,
    "pandas": with_pandas,
}
SPARKS = {"shroff on spark": False, "spark sql": True}
NEEDS = {"shroff on spark": "pyspark", "spark sql": "pyspark"}


def measure(system: str, source: Path, target: Path, repeat: int) -> dict[str, float | None]:
    """Run one system in this process: the seconds of reading, on the clock and of the processor."""
    if system in SPARKS:
        folder, started = target.with_suffix(".spark"), perf_counter()
        spent = with_spark(source, folder, native=SPARKS[system])
        seconds = perf_counter() - started
        features = pl.read_parquet(folder / "*.parquet")
        named = (
            [pl.col("id"), *(pl.col(name) for name in COLUMNS)]
            if SPARKS[system]
            else definitions()[2]
        )
        features.select(named).cast({"id": pl.Int64}).sort("id").write_parquet(target)
        return {"read": None, "seconds": seconds, "processor": spent}
    started = perf_counter()
    frame = pl.read_parquet(source)
    read = perf_counter() - started
    build = SYSTEMS[system]
    build(frame[:1000])  # compilation and imports are not the work
    runs = []
    for _ in range(repeat):
        started, used = perf_counter(), process_time()
        features = build(frame)
        runs.append((perf_counter() - started, process_time() - used))
    features.write_parquet(target)
    seconds, spent = (min(each) for each in zip(*runs, strict=True))
    return {"read": read, "seconds": seconds, "processor": spent}


if __name__ == "__main__":
    name, table, features, times = sys.argv[1:]
    print(json.dumps(measure(name, Path(table), Path(features), int(times))))
