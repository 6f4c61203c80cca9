"""Feature building on one machine: our engines beside pandas, Polars, DuckDB and Spark, on the same
features.

    SHROFF_BENCH_DATA=handbook.parquet python -m benchmarks.features
    python -m benchmarks.features --rows 10000000      # simulated payments, and a tenth of them
    python -m benchmarks.features --hundred-million    # 20 features by disk, within --memory
    python -m benchmarks.features --hundred-million --rows 20000000    # a fifth of it

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
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.features_peers import COLUMNS, NEEDS, SPARKS, SYSTEMS, prepare
from benchmarks.processes import watched


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
    options = parser.parse_args()
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
    module = "benchmarks.features_large"
    watched(module, "make", folder, rows)
    table, features = folder / "many.parquet", folder / "features.parquet"
    result = watched(module, "build", table, features, memory)
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
    target = folder / f"{system}.parquet"
    module, limit = "benchmarks.features_peers", options.limit
    try:
        return watched(module, system, source, target, options.repeat, limit=limit)
    except TimeoutError:
        return f"stopped after {options.limit:,.0f} s"


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
