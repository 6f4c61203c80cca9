"""100 million simulated payments × 20 features by disk;
`python -m benchmarks.features --hundred-million` measures it.

    python -m benchmarks.features_large make FOLDER ROWS
    python -m benchmarks.features_large build SOURCE TARGET MEMORY

Ten million payments over half a year are simulated and cleaned, then follow each other ten times,
so that a card goes on where it was. The table (6.4 GB) and what is in between need about 40 GB of
disk.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time

import polars as pl

from shroff import Entity, FeatureGroup, Schema, calendar, sql
from shroff.collect import clean
from shroff.features.engines.batch import compute_file
from shroff.simulate import RATES, simulate

TIMES = 10
DAYS = 180
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
    nominal=["mcc", "request_country"],
    keys=["card_id", "merchant_id", "host_id"],
)
CARD, MERCHANT, HOST = (
    Entity("card", "card_id"),
    Entity("merchant", "merchant_id"),
    Entity("host", "host_id"),
)
GROUP = FeatureGroup(
    "twenty",
    [
        CARD.count(["1h", "1d", "7d", "30d"]),
        CARD.total("amount", ["1d", "7d"]),
        CARD.mean("amount", ["7d", "30d"]),
        CARD.count("1d", where="result = 'failed'", name="card_failed_1d"),
        CARD.distinct("merchant_id", "7d"),
        CARD.seconds_since_last("30d"),
        MERCHANT.count(["1h", "1d"]),
        MERCHANT.risk("28d", delay="7d"),
        MERCHANT.mean("amount", "7d"),
        HOST.count("1d"),
        HOST.distinct("card_id", "1d"),
        calendar("hour"),
        calendar("weekend"),
        sql("night", "hour < 6"),
    ],
)


def make(folder: Path, rows: int) -> Path:
    """A clean table of so many payments."""
    once = folder / "once.parquet"
    raw = simulate(rows // TIMES, days=DAYS).select(
        [name for name in SCHEMA.scales if name != SCHEMA.original]
    )
    clean(raw, SCHEMA, key=b"benchmark" * 4, max_bad=0.05).frame.write_parquet(
        once, compression="lz4"
    )
    del raw
    table = pl.scan_parquet(once)

    def later(time: int) -> pl.LazyFrame:
        moments = (
            pl.col(name) + timedelta(days=time * DAYS)
            for name in ("created_at", "result_at", "labelled_at")
        )
        return table.with_columns(
            pl.format(f"{time}-{{}}", "transaction_id").alias("transaction_id"), *moments
        )

    pl.concat([later(time) for time in range(TIMES)]).sink_parquet(
        folder / "many.parquet", compression="lz4"
    )
    once.unlink()
    return folder / "many.parquet"


def main() -> None:
    verb, first, second, *more = sys.argv[1:]
    started = perf_counter()
    if verb == "make":
        make(Path(first), int(second))
    else:
        compute_file([GROUP], first, second, SCHEMA, memory=int(more[0]))
    print(json.dumps({"seconds": perf_counter() - started, "processor": process_time()}))


if __name__ == "__main__":
    main()
