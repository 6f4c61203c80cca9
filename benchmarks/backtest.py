"""How long a rule change takes over a long log, once features and probabilities are kept.

    python -m benchmarks.backtest [--payments 1750000]

A bundle of boosted trees is trained on a small simulated log, and a long one is backtested: once to
compute its features and probabilities, and again with another rule, three times. Times are those of
the whole command, from its start to its answer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

EXAMPLE = Path(__file__).parents[1] / "examples" / "payments"
LEARNED_PAYMENTS = 60_000
SPLIT = "time:2024-01-01/40/7/20"
RULES = (
    "many: card_count_1h > 5 -> review",
    "abroad: amount > 500 AND same_country = 0 -> decline",
    "hosts: host_distinct_card_id_1h > 3 AND card_failed_1d >= 2 -> review",
    "listed: request_country IN red_countries AND amount > 300 -> review",
)
TRAINED = """
from dataclasses import replace
from shroff.detect import BoostedTrees
import runpy
project = replace(runpy.run_path({path!r})["project"], detectors=(BoostedTrees(),))
"""


def run(home: Path, *words: str | Path) -> tuple[dict[str, Any], float]:
    """What a command answers, and the seconds that it took."""
    command = [sys.executable, "-m", "shroff", *map(str, words), "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env=os.environ | {"SHROFF_HOME": str(home)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - began
    document: dict[str, Any] = json.loads(done.stdout)
    return document, seconds


def measure(payments: int, folder: Path) -> Table:
    """The table of times."""
    home, small, large = folder / "home", folder / "small.parquet", folder / "large.parquet"
    project = folder / "project"
    project.mkdir()
    (project / "project.py").write_text(TRAINED.format(path=str(EXAMPLE / "project.py")))
    run(home, "simulate", small, "--payments", str(LEARNED_PAYMENTS))
    run(home, "train", project, "--data", small, "--split", SPLIT, "--bundle", folder / "bundle")
    run(home, "simulate", large, "--payments", str(payments), "--seed", "1")
    words = ("backtest", folder / "bundle", "--data", large, "--from", "2024-01-01")
    found, first = run(home, *words)
    again = [run(home, *words, "--rule", rule)[1] for rule in RULES[:3]]
    several = [word for rule in RULES for word in ("--rule", rule)]
    _, together = run(home, *words, *several)
    _, started = run(home, "models")
    table = Table(
        title=f"{found['payments']['payments']:,} of {payments:,} payments backtested",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("")
    table.add_column("s", justify="right")
    for name, seconds in (
        ("the first time: features, probabilities, decisions", first),
        ("another rule, the quickest of three", min(again)),
        ("another rule, the slowest of three", max(again)),
        ("four rules", together),
        ("for scale: `shroff models`, which lists one model", started),
    ):
        table.add_row(name, f"{seconds:.1f}")
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How long a rule change takes to backtest.")
    parser.add_argument("--payments", type=int, default=1_750_000)
    payments = parser.parse_args().payments
    with tempfile.TemporaryDirectory() as folder:
        Console(width=100).print(measure(payments, Path(folder)))


if __name__ == "__main__":
    main()
