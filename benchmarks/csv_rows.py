"""What counting the rows of a CSV file a second way costs beside reading it.

python benchmarks/csv_rows.py [ROWS]
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import polars as pl

from shroff.collect import read
from shroff.collect.csv_dialect import understand
from shroff.collect.csv_text import content

HEADER = "id,at,amount,currency,card_id,merchant,mcc,country,is_fraud,note\n"
ROW = 't{0},2024-01-01T00:00:00Z,{1}.50,EUR,card{1},"Shop, {1}",5411,DE,0,"x"\n'


def main(rows: int = 2_000_000) -> None:
    """Print processor seconds by file and step."""
    text = (HEADER + "".join(ROW.format(row, row % 1_000) for row in range(rows))).encode()
    understand(text[: 1 << 20])  # compiles
    print(f"{rows:,} rows, {len(text) / 1e6:,.0f} MB; seconds of processor time")
    print(f"{'':8}{'reader alone':>16}{'second count':>16}{'read()':>10}")
    with TemporaryDirectory() as folder:
        for name, packed in (("csv", text), ("csv.gz", gzip.compress(text, 3))):
            file = Path(folder) / f"log.{name}"
            file.write_bytes(packed)
            alone = _seconds(partial(pl.read_csv, file, infer_schema=False))
            count = _seconds(partial(understand, content(file)))
            whole = _seconds(partial(read, file))
            print(f"{name:8}{alone:16.2f}{count:16.2f}{whole:10.2f}")


def _seconds(work: Callable[[], object]) -> float:
    started = process_time()
    work()
    return process_time() - started


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
