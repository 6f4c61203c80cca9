"""The online engine alone: payments a second, and what it keeps of each card, in memory and in
Redis.

    python benchmarks/state.py
    SHROFF_BENCH_REDIS=redis://127.0.0.1:6379/0 python benchmarks/state.py --payments 100000

The work: twenty features of simulated payments, all kinds of aggregate that a team uses, over four
entities. Results and labels do not come in between. In Redis the payments come to one process,
alone or 22 together, and then by turns to two that share the state, each of which also follows what
the other one wrote. Payments a second of a core count the processor time of all who work on one
(with Redis: worker and server); by the clock they overlap. The figures are those of the run in the
middle of several short ones, all kinds by turns, with the slowest and the fastest of them.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import socket
import subprocess
import tempfile
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from time import perf_counter, process_time, sleep
from typing import NamedTuple

import polars as pl
from redis import ConnectionError as NoServer
from redis import Redis
from rich.console import Console
from rich.table import Table

from shroff import Entity, FeatureGroup, Schema
from shroff.collect import clean
from shroff.collect.payment import Payment, payments
from shroff.features.engines.online import Engine, OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, claim
from shroff.serve.memory import settle
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
    nominal=["mcc", "request_country"],
    personal=["email"],
    keys=["card_id", "account_id", "host_id", "merchant_id"],
    ignored=["account_country", "cardholder_name", "account_name", "phone"],
)
card, account, host, merchant = (
    Entity(name, f"{name}_id") for name in ("card", "account", "host", "merchant")
)
GROUP = FeatureGroup(
    "twenty",
    [
        card.count(["1m", "1h", "1d"]),
        card.count("1d", where="result = 'failed'", name="card_failed_1d"),
        card.total("amount", ["1h", "1d"]),
        card.mean("amount", "30d", resolution="1d"),
        card.std("amount", "7d"),
        card.max("amount", "1d"),
        card.distinct("host_id", "1d"),
        card.is_new("merchant_id", "30d"),
        card.entropy("mcc", "7d"),
        card.seconds_since_last("1d"),
        card.decayed_count("1d", half_life="1h"),
        account.distinct("card_id", ["1h", "1d"]),
        account.distinct("email", "30d"),
        host.distinct("card_id", "1d"),
        merchant.count("1h"),
        merchant.risk("7d", delay="7d"),
    ],
)
TOGETHER = 22


def simulated(rows: int) -> pl.DataFrame:
    """Clean payments of ninety days, in their order."""
    return clean(simulate(rows, days=90), SCHEMA, key=bytes(32)).frame


def batches(stream: Sequence[Payment], size: int) -> Iterator[Sequence[Payment]]:
    """The payments, so many together."""
    return (stream[at : at + size] for at in range(0, len(stream), size))


def observe(engine: Engine, stream: Sequence[Payment], size: int) -> None:
    """All payments, so many together."""
    for batch in batches(stream, size):
        engine.observe_all(batch)


class Run(NamedTuple):
    """Seconds a payment: processor time of the worker and of the server, and by the clock; and
    bytes kept.
    """

    worker: float
    server: float
    clock: float
    kept: int

    @property
    def rate(self) -> float:
        """Payments a second of a core."""
        return 1 / (self.worker + self.server)


def row(runs: Sequence[Run]) -> list[str]:
    """The run in the middle as cells of the table, without the bytes."""
    by_rate = sorted(runs, key=lambda run: run.rate)
    middle = by_rate[len(runs) // 2]
    spread = f"{by_rate[0].rate:,.0f} to {by_rate[-1].rate:,.0f}"
    micros = (f"{spent * 1e6:.1f}" for spent in (middle.worker, middle.server))
    return [f"{middle.rate:,.0f}", spread, f"{1 / middle.clock:,.0f}", *micros]


def in_memory(stream: Sequence[Payment], size: int, kept: int) -> Run:
    """One run over an empty state, of which so many bytes are kept."""
    engine, started, worked = OnlineEngine([GROUP], SCHEMA), perf_counter(), process_time()
    observe(engine, stream, size)
    worked, taken, rows = process_time() - worked, perf_counter() - started, len(stream)
    return Run(worked / rows, 0.0, taken / rows, kept)


def memory_bytes(frame: pl.DataFrame) -> int:
    """What Python has allocated for the state after all payments, with what it keeps of the
    payments themselves.
    """
    tracemalloc.start()
    engine = OnlineEngine([GROUP], SCHEMA)
    before, _ = tracemalloc.get_traced_memory()
    deque(map(engine.observe, payments(frame, SCHEMA)), maxlen=0)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def in_redis(url: str, stream: Sequence[Payment], size: int, *, processes: int = 1) -> Run:
    """One run over an empty server, by turns of as many processes; all are in this one."""
    with Redis.from_url(url) as server:
        server.flushall()
        engines = [RedisEngine([GROUP], SCHEMA, url=url) for _ in range(processes)]
        filling = claim(engines[0])
        if filling is None or not filling.open():
            raise SystemExit("the state could not be begun: somebody else uses this server.")
        kept, busy, started, worked = used(server), served(server), perf_counter(), process_time()
        for engine, batch in zip(cycle(engines), batches(stream, size), strict=False):
            engine.observe_all(batch)
        worked, taken = process_time() - worked, perf_counter() - started
        busy, kept = served(server) - busy, used(server) - kept
        for engine in engines:
            engine.close()
    rows = len(stream)
    return Run(worked / rows, busy / rows, taken / rows, kept)


def used(server: Redis) -> int:
    """Bytes that a server has allocated."""
    return int(server.info("memory")["used_memory"])


def served(server: Redis) -> float:
    """Seconds of processor time that a server has used."""
    spent = server.info("cpu")
    return float(spent["used_cpu_user"]) + float(spent["used_cpu_sys"])


@contextmanager
def server() -> Iterator[str | None]:
    """The URL of a Redis server that may be emptied: the one named, or one started here; None:
    there is none.
    """
    named, program = os.environ.get("SHROFF_BENCH_REDIS"), shutil.which("redis-server")
    if named or program is None:
        yield named
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        words = [program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
            url = f"redis://127.0.0.1:{port}/0"
            try:
                wait(url)
                yield url
            finally:
                process.terminate()


def wait(url: str) -> None:
    """Until a server answers."""
    with Redis.from_url(url) as client:
        for _ in range(500):
            try:
                client.ping()
            except NoServer:
                sleep(0.01)
            else:
                return
    raise SystemExit("redis-server does not answer")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--payments", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=7, help="runs of which the middle one counts")
    options = parser.parse_args(words)
    frame = simulated(options.payments)
    stream = list(payments(frame, SCHEMA))
    kept = memory_bytes(frame)
    # as a service does before it serves
    settle()
    cards = len({payment.values["card_id"] for payment in stream})
    title = f"{len(GROUP.definitions)} features of {len(stream):,} payments by {cards:,} cards"
    heads = (
        "state",
        "together",
        "payments/s of a core",
        "slowest, fastest",
        "by the clock",
        "worker µs",
        "server µs",
        "bytes/card",
    )
    table = Table(*heads, title=f"{title}; load {os.getloadavg()[0]:.1f}")
    kinds: dict[tuple[str, int], Callable[[], Run]] = {
        ("memory", size): partial(in_memory, stream, size, kept) for size in (1, TOGETHER)
    }
    with server() as url:
        if url is not None:
            kinds["redis", 1] = partial(in_redis, url, stream, 1)
            kinds["redis", TOGETHER] = partial(in_redis, url, stream, TOGETHER)
            kinds["redis, two", TOGETHER] = partial(in_redis, url, stream, TOGETHER, processes=2)
        rounds = [[run() for run in kinds.values()] for _ in range(options.repeat)]
    for (name, size), runs in zip(kinds, zip(*rounds, strict=True), strict=True):
        table.add_row(name, str(size), *row(runs), f"{runs[-1].kept / cards:,.0f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
