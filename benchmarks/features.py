"""Feature building on one machine: our engines beside pandas, Polars, DuckDB and Spark, on the same
features.

    SHROFF_BENCH_DATA=handbook.parquet python benchmarks/features.py
    python benchmarks/features.py --rows 10000000      # simulated payments, and a tenth of them
    python benchmarks/features.py --hundred-million    # 20 features by disk, within --memory
    python benchmarks/features.py --hundred-million --rows 20000000    # a fifth of it

The work: the 12 window features of the public handbook (count and mean amount per customer over 1,
7 and 30 days, the payment itself included; count and fraud share per terminal over the same
windows, 7 days late) and its two calendar features. Each system runs in its own process, reads the
same Parquet, and is timed from the table in memory to the features in memory, after a thousand rows
for what is compiled at first use; the least of `--repeat` runs counts. Reading is timed apart.
Spark goes from Parquet to Parquet, once, on two cores, from its start on: our Spark engine, and SQL
windows. What takes longer than `--limit` is stopped. Results are compared with ours: they differ
only where payments of one key share a moment (our law counts them in row order, SQL counts peers
together). Processor time bears a busy machine better than the clock. Peak memory is that of the
process and its children together.

pandas and duckdb are not dependencies of the project: install them beside it to see their rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from math import inf
from pathlib import Path
from time import perf_counter, process_time, sleep

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

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
    of an offset.
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
    table = frame.lazy().with_columns(pl.lit(1.0).alias("one"), pl.col("fraud").cast(pl.Float64))
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
        return processor(os.getpid())


SYSTEMS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "shroff": with_shroff,
    "polars": with_polars,
    "duckdb": with_duckdb,
    "pandas": with_pandas,
}
SPARKS = {"shroff on spark": False, "spark sql": True}
NEEDS = {"shroff on spark": "pyspark", "spark sql": "pyspark"}


def measure(system: str, source: Path, target: Path, repeat: int) -> None:
    """Run one system in this process and print its seconds as JSON: reading, on the clock, of the
    processor.
    """
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
        print(json.dumps({"read": None, "seconds": seconds, "processor": spent}))
        return
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
    seconds, processor = (min(each) for each in zip(*runs, strict=True))
    print(json.dumps({"read": read, "seconds": seconds, "processor": processor}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, help="simulated payments instead of SHROFF_BENCH_DATA")
    parser.add_argument(
        "--systems",
        type=_systems,
        default=[*SYSTEMS, *SPARKS],
        help="which to run beside shroff, comma-separated",
    )
    parser.add_argument(
        "--repeat", type=int, default=3, help="runs of each, of which the least counts"
    )
    parser.add_argument(
        "--limit", type=float, default=900, help="seconds after which a system is stopped"
    )
    parser.add_argument("--hundred-million", action="store_true", help="by disk instead")
    parser.add_argument(
        "--memory", type=float, default=5.0, help="budget of --hundred-million, in GB"
    )
    parser.add_argument(
        "--one", nargs=3, metavar=("SYSTEM", "SOURCE", "TARGET"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.one:
        measure(options.one[0], Path(options.one[1]), Path(options.one[2]), options.repeat)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.hundred_million:
            large(Path(folder), options.rows or 100_000_000, round(options.memory * 1e9))
        else:
            beside(Path(folder), options)


def _systems(text: str) -> list[str]:
    chosen = [name.strip().lower() for name in text.split(",")]
    if not {*chosen} <= {*SYSTEMS, *SPARKS}:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join([*SYSTEMS, *SPARKS])}")
    return chosen


def beside(folder: Path, options: argparse.Namespace) -> None:
    """Every system on one table."""
    named = os.environ.get("SHROFF_BENCH_DATA")
    source = Path(named) if named and options.rows is None else None
    table = folder / "payments.parquet"
    rows = prepare(source, options.rows, table)
    # the others stand beside ours
    names = dict.fromkeys(["shroff", *options.systems])
    results = {name: run(name, table, folder, options) for name in names}
    report(rows, source, results, folder)
    if source is None:
        prepare(None, rows // 10, folder / "tenth.parquet")
        ours, tenth = results["shroff"], run("shroff", folder / "tenth.parquet", folder, options)
        if not isinstance(ours, str) and not isinstance(tenth, str):
            clock, used = (ours[name] / tenth[name] for name in ("seconds", "processor"))
            print(
                f"shroff: 10 × the rows of {rows // 10:,} in {clock:.1f} × the time, {used:.1f} × "
                "the processor's."
            )


def large(folder: Path, rows: int, memory: int) -> None:
    """So many payments by disk."""
    script = str(Path(__file__).with_name("features_large.py"))
    watched([script, "make", str(folder), str(rows)])
    result = watched(
        [
            script,
            "build",
            str(folder / "many.parquet"),
            str(folder / "features.parquet"),
            str(memory),
        ]
    )
    print(
        f"20 features of {rows:,} payments: {result['seconds']:,.0f} s, "
        f"{result['processor']:,.0f} s of the processor, at most "
        f"{result['peak'] / 1e9:.1f} GB."
    )


def run(
    system: str, source: Path, folder: Path, options: argparse.Namespace
) -> dict[str, float] | str:
    """One system in a process of its own; why there is no result where there is none."""
    if find_spec(NEEDS.get(system, system)) is None:
        return "not installed"
    arguments = [
        "--one",
        system,
        str(source),
        str(folder / f"{system}.parquet"),
        "--repeat",
        str(options.repeat),
    ]
    try:
        return watched([__file__, *arguments], options.limit)
    except TimeoutError:
        return f"stopped after {options.limit:,.0f} s"


def watched(arguments: list[str], limit: float = inf) -> dict[str, float]:
    """What a script prints as JSON, and its `peak` memory with its children's.

    Raises:
        TimeoutError: it is not done within so many seconds.
    """
    command = [sys.executable, "-W", "ignore", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak, started = 0, perf_counter()
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            if perf_counter() - started > limit:
                process.kill()
                raise TimeoutError
            sleep(0.05)
        printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    result: dict[str, float] = json.loads(printed)
    return result | {"peak": peak}


def resident(process: int) -> int:
    """Bytes that a process and its children have in memory."""
    return sum(int(text.split()[1]) for text in told(process, "statm")) * os.sysconf("SC_PAGE_SIZE")


def processor(process: int) -> float:
    """Seconds of the processor that a process and its children took, with those that have ended."""
    # behind the name in brackets, from the twelfth on: its own, the system's for it, and both of
    # children
    ticks = sum(
        sum(map(int, text.rpartition(")")[2].split()[11:15])) for text in told(process, "stat")
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def told(process: int, name: str) -> list[str]:
    """What /proc tells under this name of a process and of its children."""
    try:
        own = Path(f"/proc/{process}/{name}").read_text()
        tasks = list(Path(f"/proc/{process}/task").iterdir())
    except OSError:
        # it has ended
        return []
    return [
        own,
        *(text for task in tasks for child in children(task) for text in told(child, name)),
    ]


def children(task: Path) -> list[int]:
    """The processes that a thread started."""
    try:
        return [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        # it has ended, and its children are now of another thread
        return []


def report(
    rows: int, source: Path | None, results: dict[str, dict[str, float] | str], folder: Path
) -> None:
    """Print one table: time and memory beside ours, and how much of the result is the same."""
    ours = results["shroff"]
    if isinstance(ours, str):
        raise SystemExit(f"shroff: {ours}")
    expected = pl.read_parquet(folder / "shroff.parquet").with_columns(pl.col("id").cast(pl.Int64))
    what = "payments of the handbook" if source else "simulated payments"
    heads = (
        "system",
        "read",
        "seconds",
        "× ours",
        "processor",
        "× ours",
        "peak memory",
        "same values",
    )
    table = Table(*heads, title=f"{len(COLUMNS)} features of {rows:,} {what}")
    for name, result in results.items():
        if isinstance(result, str):
            table.add_row(name, "", result)
            continue
        features = pl.read_parquet(folder / f"{name}.parquet").with_columns(
            pl.col("id").cast(pl.Int64)
        )
        same = np.mean(
            [np.isclose(expected[c], features[c], rtol=1e-9, atol=1e-9).mean() for c in COLUMNS]
        )
        table.add_row(
            name,
            f"{result['read']:.2f}" if result["read"] is not None else "with",
            f"{result['seconds']:.2f}",
            f"{result['seconds'] / ours['seconds']:.1f}",
            f"{result['processor']:.2f}",
            f"{result['processor'] / ours['processor']:.1f}",
            f"{result['peak'] / 2**30:.2f} GiB",
            f"{same:.4%}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
