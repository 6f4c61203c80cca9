"""How long the online engine takes to start from a history: payments counted, and observed.

    python -m benchmarks.warm --payments 1000000

The work: the twenty features of `benchmarks/state.py` over simulated payments of ninety days, with
their results and labels. Both engines must then give the same features of the next payments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from time import perf_counter, process_time

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.state import GROUP, SCHEMA
from shroff.collect import clean
from shroff.collect.payment import payments
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.replay import count, feed
from shroff.simulate import simulate

NEXT = 1_000
"""Payments after the history."""


def filled(
    way: Callable[[OnlineEngine, pl.DataFrame], Iterator[object]], history: pl.DataFrame
) -> tuple[OnlineEngine, float, float]:
    """An engine that has a history, the seconds that took, and those of the processor."""
    engine = OnlineEngine([GROUP], SCHEMA)
    begun, used = perf_counter(), process_time()
    for _ in way(engine, history):
        pass
    return engine, perf_counter() - begun, process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--payments", type=int, default=100_000)
    many = parser.parse_args().payments
    log = clean(simulate(payments=many + NEXT, seed=1), SCHEMA, key=bytes(32), max_bad=0.01).frame
    log = log.sort(SCHEMA.time, maintain_order=True)
    history, after = log[:-NEXT], log[-NEXT:]
    table = Table("history", "seconds", "processor seconds", "µs a payment")
    engines = []
    for name, way in (("counted", count), ("observed", feed)):
        engine, seconds, used = filled(way, history)
        engines.append(engine)
        table.add_row(name, f"{seconds:.1f}", f"{used:.1f}", f"{used / len(history) * 1e6:.1f}")
    counted, observed = engines
    for payment in payments(after, SCHEMA):
        if counted.observe(payment) != observed.observe(payment):
            sys.exit(f"{payment.id}: the features differ")
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(f"{len(history):,} payments; the next {NEXT:,} have the same features")
    console.print(table)


if __name__ == "__main__":
    main()
