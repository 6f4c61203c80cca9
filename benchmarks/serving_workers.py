"""Two workers of the service beside one, with their state in Redis and their ledger in PostgreSQL.

    SHROFF_BENCH_DATA=handbook.parquet python -m benchmarks.serving_workers --environments CACHE

One worker has the first core, two have the first two. Redis and PostgreSQL have the same cores as
their workers, so that the second doubles all that a service has; with `--servers-apart` they run on
the others. So does the client, which shares the workers' cores where there are no others. With
`--halves` a service gets half the time of its cores and the client the rest: what a client apart
would find, at half the speed. The processor time of a payment in all workers says what a second
core of workers would add if nothing else ran there. Each service has servers of its own, starts
from nothing, and gets 22 payments at a time for each worker; both take turns, and ratios are
medians over turns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.serving import (
    PROGRAM,
    WARM_UP,
    Served,
    best,
    free_port,
    options,
    running,
    train,
    wait_until_ready,
)
from benchmarks.serving_load import Run
from servers import postgres, redis

WORKERS = (1, 2)
TOGETHER = 22
"""Payments that are sent at a time for each worker."""
GROUPS = Path("/sys/fs/cgroup/cpu")
"""Control groups of Linux, version 1."""
PERIOD_US = 10_000


def main() -> None:
    """Measure, print."""
    parser = options(__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--servers-apart", action="store_true", help="keep Redis and PostgreSQL off the workers"
    )
    where.add_argument(
        "--halves",
        action="store_true",
        help="half of each core for a service and half for the client (control groups, as root)",
    )
    chosen = parser.parse_args()
    if chosen.halves and not os.access(GROUPS / "cpu.cfs_quota_us", os.W_OK):
        parser.error(f"--halves: expected root, and control groups of version 1 in {GROUPS}")
    everywhere = os.sched_getaffinity(0)
    apart = {workers: everywhere - {*range(workers)} or everywhere for workers in WORKERS}
    print(f"cores: {len(everywhere)}, load before: {os.getloadavg()[0]:.2f}")
    runs: dict[int, list[Run]] = {workers: [] for workers in WORKERS}
    with tempfile.TemporaryDirectory(dir=chosen.environments) as home:
        _, coming = train(chosen.environments, home)
        with ExitStack() as up:
            services: dict[int, Served] = {}
            for workers in WORKERS:
                # the servers that this process starts get its cores
                servers = apart[workers] if chosen.servers_apart else {*range(workers)}
                os.sched_setaffinity(0, servers)
                with halves(workers, up) if chosen.halves else nullcontext():
                    services[workers] = up.enter_context(service(home, workers, coming))
            for workers, served in services.items():
                served.turn(WARM_UP, TOGETHER * workers, cores=apart[workers])
            for _ in range(chosen.tries):
                for workers, served in services.items():
                    run = served.turn(chosen.requests, TOGETHER * workers, cores=apart[workers])
                    runs[workers].append(run)
    show(runs, apart=chosen.halves or apart[max(WORKERS)] != everywhere)
    print(f"load after: {os.getloadavg()[0]:.2f}")


@contextmanager
def service(home: str, workers: int, coming: Iterator[bytes]) -> Iterator[Served]:
    """A service with so many workers, each on a core of its own."""
    with (
        redis() as state,
        postgres() as ledger,
        tempfile.TemporaryDirectory(dir=home) as folder,
    ):
        port = free_port()
        command = [*PROGRAM, "serve", f"{home}/bundle", "--port", f"{port}", "--without-keys"]
        variables = {
            **os.environ,
            "SHROFF_HOME": folder,
            "SHROFF_STATE": state,
            "SHROFF_LEDGER": ledger,
        }
        cores = f"0-{workers - 1}"
        with running(
            [*command, "--workers", f"{workers}"], Path(folder), variables, cores=cores
        ) as server:
            wait_until_ready(server, port)
            yield Served(server, port, coming)


@contextmanager
def halves(workers: int, up: ExitStack) -> Iterator[None]:
    """What is started inside gets half the time of so many cores, until `up` ends."""
    group = GROUPS / f"shroff-{os.getpid()}-{workers}"
    group.mkdir()
    up.callback(group.rmdir)
    (group / "cpu.cfs_period_us").write_text(f"{PERIOD_US}")
    (group / "cpu.cfs_quota_us").write_text(f"{PERIOD_US * workers // 2}")
    (group / "cgroup.procs").write_text(f"{os.getpid()}")
    try:
        yield
    finally:
        (GROUPS / "cgroup.procs").write_text(f"{os.getpid()}")


def show(runs: dict[int, list[Run]], *, apart: bool) -> None:
    """One table: payments a second, and what two workers do of what one does."""
    table = Table("workers", "p50 ms", "p99 ms", "payments/s", "failed", "CPU µs", box=box.SIMPLE)
    for workers, turns in runs.items():
        run = best(turns)
        ms = sorted(run.milliseconds)
        middle, late = ms[len(ms) // 2], ms[len(ms) * 99 // 100]
        counts = (f"{run.rate:,.0f}", f"{run.failures}", f"{run.cpu:.0f}")
        table.add_row(f"{workers}", f"{middle:.2f}", f"{late:.2f}", *counts)
    Console(width=100).print(table)
    pairs = [*zip(*runs.values(), strict=True)]
    rate = median(two.rate / one.rate for one, two in pairs)
    cpu = median(2 * one.cpu / two.cpu for one, two in pairs)
    where = "apart from" if apart else "on the same cores as"
    print(f"two workers answer {rate:.2f} × what one does (the client {where} the two);")
    print(f"by the workers' processor time, two cores of workers do {cpu:.2f} × what one does.")


if __name__ == "__main__":
    main()
