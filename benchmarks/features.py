"""Feature building on one machine: our batch engine beside pandas, Polars and DuckDB, on the same features.

    SHROFF_BENCH_DATA=handbook.parquet python benchmarks/features.py
    python benchmarks/features.py --rows 10000000          # simulated payments instead

The work: the 12 window features of the public handbook (count and mean amount per customer over 1, 7 and 30 days,
the payment itself included; count and fraud share per terminal over the same windows, 7 days late) and its two
calendar features. Each system runs in its own process, reads the same Parquet, and is timed from the table in memory
to the features in memory; its result is compared with ours. They differ only where payments of one key share a
second: our law counts them in row order, SQL counts peers together. Peak memory is the process's.

pandas and duckdb are not dependencies of the project: install them beside it to see their rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

DAYS = (1, 7, 30)
DELAY = 7
COLUMNS = [
    *(f"{what}_{days}" for days in DAYS for what in ("customer_count", "customer_mean")),
    *(f"{what}_{days}" for days in DAYS for what in ("terminal_count", "terminal_risk")),
    "weekend",
    "night",
]


def prepare(source: Path | None, rows: int | None, target: Path) -> int:
    """Write the table that every system reads: id, at, customer, terminal, cents, fraud; sorted by time."""
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
    return len(frame)


def simulated(rows: int) -> pl.DataFrame:
    """Random payments over half a year, as many per customer and terminal as in the handbook's table."""
    rng = np.random.default_rng(0)
    start = np.datetime64("2018-04-01T00:00:00", "us")
    seconds = np.sort(rng.integers(0, 183 * 86_400, rows))
    return pl.DataFrame(
        {
            "id": np.arange(rows),
            "at": start + (seconds * 1_000_000).astype("timedelta64[us]"),
            "customer": rng.integers(0, max(rows // 350, 1), rows).astype(str),
            "terminal": rng.integers(0, max(rows // 175, 1), rows).astype(str),
            "cents": rng.integers(100, 20_000, rows),
            "fraud": rng.random(rows) < 0.008,
        }
    )


def with_shroff(frame: pl.DataFrame) -> pl.DataFrame:
    """Our batch engine."""
    from shroff import Entity, FeatureGroup, Schema, calendar, sql
    from shroff.features.engines.batch import compute

    windows = [f"{days}d" for days in DAYS]
    customer, terminal = Entity("customer", "customer"), Entity("terminal", "terminal")
    schema = Schema(id="id", time="at", amount="cents", label="fraud", keys=["customer", "terminal"])
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
    clean = frame.with_columns(pl.col("at").dt.replace_time_zone("UTC"))
    features = compute([group], clean, schema)
    named = {f"customer_count_{days}": f"customer_count_{days}d_with_current" for days in DAYS}
    named |= {f"customer_mean_{days}": f"customer_mean_cents_{days}d_with_current" for days in DAYS}
    for what in ("terminal_count", "terminal_risk"):
        named |= {f"{what}_{days}": f"{what}_{days}d_delay_{DELAY}d" for days in DAYS}
    return features.select("id", *(pl.col(theirs).alias(ours) for ours, theirs in named.items()), "weekend", "night")


def with_polars(frame: pl.DataFrame) -> pl.DataFrame:
    """Polars' rolling expressions over each key; late windows are the difference of two, for lack of an offset."""

    def total(column: str, days: int, key: str) -> pl.Expr:
        return pl.col(column).rolling_sum_by("at", window_size=f"{days}d", closed="right").over(key)

    columns: dict[str, pl.Expr] = {}
    for days in DAYS:
        columns[f"customer_count_{days}"] = total("one", days, "customer")
        columns[f"customer_mean_{days}"] = total("cents", days, "customer") / total("one", days, "customer") / 100
        count = total("one", days + DELAY, "terminal") - total("one", DELAY, "terminal")
        fraud = total("fraud", days + DELAY, "terminal") - total("fraud", DELAY, "terminal")
        columns[f"terminal_count_{days}"] = count
        columns[f"terminal_risk_{days}"] = pl.when(count > 0).then(fraud / count).otherwise(0.0)
    columns["weekend"] = (pl.col("at").dt.weekday() >= 6).cast(pl.Float64)
    columns["night"] = (pl.col("at").dt.hour() <= 6).cast(pl.Float64)
    table = frame.lazy().with_columns(pl.lit(1.0).alias("one"), pl.col("fraud").cast(pl.Float64))
    return table.select("id", *(expression.alias(name) for name, expression in columns.items())).collect()


def with_duckdb(frame: pl.DataFrame) -> pl.DataFrame:
    """SQL window functions; times are whole seconds, so `w - 1` preceding seconds are the half-open window."""
    import duckdb

    day = 86_400
    windows, columns = [], []
    for days in DAYS:
        windows += [
            f"c{days} AS (PARTITION BY customer ORDER BY s RANGE BETWEEN {days * day - 1} PRECEDING AND CURRENT ROW)",
            f"t{days} AS (PARTITION BY terminal ORDER BY s RANGE BETWEEN {(days + DELAY) * day - 1} PRECEDING "
            f"AND {DELAY * day} PRECEDING)",
        ]
        columns += [
            f"CAST(count(*) OVER c{days} AS DOUBLE) AS customer_count_{days}",
            f"avg(cents) OVER c{days} / 100 AS customer_mean_{days}",
            f"CAST(count(*) OVER t{days} AS DOUBLE) AS terminal_count_{days}",
            f"coalesce(avg(CAST(fraud AS INT)) OVER t{days}, 0) AS terminal_risk_{days}",
        ]
    calendar = """CAST(isodow("at") >= 6 AS DOUBLE) AS weekend, CAST(hour("at") <= 6 AS DOUBLE) AS night"""
    source = """(SELECT *, CAST(epoch("at") AS BIGINT) AS s FROM frame)"""
    query = f"SELECT id, {', '.join(columns)}, {calendar} FROM {source} WINDOW {', '.join(windows)}"
    connection = duckdb.connect()
    connection.register("frame", frame.to_arrow())
    result = pl.DataFrame(connection.execute(query).to_arrow_table())
    return result.sort("id").select("id", *COLUMNS)


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


SYSTEMS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "shroff": with_shroff,
    "polars": with_polars,
    "duckdb": with_duckdb,
    "pandas": with_pandas,
}


def measure(system: str, source: Path, target: Path) -> None:
    """Run one system in this process and print its seconds and peak memory as JSON."""
    frame = pl.read_parquet(source)
    build = SYSTEMS[system]
    build(frame[:1000])  # compilation and imports are not the work
    started = perf_counter()
    features = build(frame)
    seconds = perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    features.write_parquet(target)
    print(json.dumps({"seconds": seconds, "peak": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, help="simulated payments instead of SHROFF_BENCH_DATA")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which to run, comma-separated")
    parser.add_argument("--one", nargs=3, metavar=("SYSTEM", "SOURCE", "TARGET"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.one[0], Path(options.one[1]), Path(options.one[2]))
        return
    named = os.environ.get("SHROFF_BENCH_DATA")
    source = Path(named) if named and options.rows is None else None
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "payments.parquet"
        rows = prepare(source, options.rows, table)
        results = {name: run(name, table, Path(folder)) for name in options.systems.split(",")}
        report(rows, source, results, Path(folder))


def run(system: str, source: Path, folder: Path) -> dict[str, float] | None:
    """One system in a process of its own; None where it is not installed."""
    if find_spec(system) is None:
        return None
    command = [
        sys.executable,
        "-W",
        "ignore",
        __file__,
        "--one",
        system,
        str(source),
        str(folder / f"{system}.parquet"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def report(rows: int, source: Path | None, results: dict[str, dict[str, float] | None], folder: Path) -> None:
    """Print one table: time and memory beside ours, and how much of the result is the same."""
    ours = results["shroff"]
    if ours is None:
        raise SystemExit("shroff is not installed in this environment: pip install -e .")
    expected = pl.read_parquet(folder / "shroff.parquet").with_columns(pl.col("id").cast(pl.Int64))
    what = "payments of the handbook" if source else "simulated payments"
    table = Table(
        "system",
        "seconds",
        "× ours",
        "peak memory",
        "same values",
        title=f"{len(COLUMNS)} features of {rows:,} {what}",
    )
    for name, result in results.items():
        if result is None:
            table.add_row(name, "not installed", "", "", "")
            continue
        features = pl.read_parquet(folder / f"{name}.parquet").with_columns(pl.col("id").cast(pl.Int64))
        same = np.mean([np.isclose(expected[c], features[c], rtol=1e-9, atol=1e-9).mean() for c in COLUMNS])
        table.add_row(
            name,
            f"{result['seconds']:.2f}",
            f"{result['seconds'] / ours['seconds']:.1f}",
            f"{result['peak'] / 2**30:.2f} GiB",
            f"{same:.4%}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
