"""The whole service beside servers that do the model only: one load generator, server on one core,
client on the other.

    SHROFF_BENCH_DATA=handbook.parquet python -m benchmarks.serving --environments CACHE [--only
    NAME] [--tries 3] [--awake]

Ours reads a payment, computes 17 velocity features (`serving_project.py`), scores 300 trees,
applies the policy and answers when SQLite has synced the decision to disk. A peer scores 300 trees
on 40 ready-made numbers. All servers are up together and take turns, so that other work on the
machine meets all of them. Times are those of a server's best turn; ratios, of requests and of the
server's processor time, are the median over turns of ours and a peer's turn next to each other. The
load of the machine is printed. A peer that does not install or start is listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.serving_load import CLIENT_CORES, Run, drive, request
from benchmarks.serving_peers import PEERS, Peer
from shroff.detect import BoostedTrees
from shroff.serve.awake import cores_awake

PROGRAM = (sys.executable, "-m", "shroff")
PROJECT = Path(__file__).with_name("serving_project.py")
FIRST = datetime(2018, 8, 8)
"""When the payments that are sent begin."""
PARALLEL = (22, 1)
WARM_UP = 2_000
_PATIENCE = 180.0  # seconds for a server to start


@dataclass(frozen=True)
class Served:
    """A server that is up, and the requests that it gets."""

    process: subprocess.Popen[bytes]
    port: int
    requests: Iterator[bytes]

    def turn(self, requests: int, parallel: int, *, cores: Collection[int] = CLIENT_CORES) -> Run:
        """One run of so many requests, from a client on these cores."""
        sent = [*islice(self.requests, requests)]
        return drive(self.port, sent, parallel, self.process.pid, cores=cores)


def options(doc: str) -> argparse.ArgumentParser:
    """What every benchmark of a service is asked; the folder of environments is made."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument(
        "--environments", type=_made, default=str(Path.home() / ".cache" / "shroff-bench")
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--tries", type=int, default=3)
    return parser


def _made(folder: str) -> Path:
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def main() -> None:
    """Measure, print."""
    parser = options(__doc__)
    servers = ["ours", *(peer.name for peer in PEERS)]
    parser.add_argument(
        "--only", action="append", choices=servers, help="several times for several"
    )
    parser.add_argument(
        "--awake", action="store_true", help="keep the cores awake, as `shroff serve --awake` does"
    )
    chosen = parser.parse_args()
    wanted = chosen.only or servers
    absent: dict[str, str] = {}
    print(f"load before: {os.getloadavg()[0]:.2f}")
    with cores_awake(chosen.awake), ExitStack() as up:
        served: dict[str, Served] = {}
        if "ours" in wanted:
            served["ours: whole path"] = up.enter_context(ours(chosen.environments))
        model = ready_made_model()
        for peer in PEERS:
            if peer.name in wanted:
                try:
                    served[peer.name] = up.enter_context(started(peer, chosen.environments, model))
                except (OSError, subprocess.CalledProcessError) as error:
                    absent[peer.name] = f"{type(error).__name__}: {str(error)[:200]}"
        runs = take_turns(served, chosen.requests, chosen.tries)
    for parallel in PARALLEL:
        show(parallel, runs[parallel])
    for name, why in absent.items():
        print(f"{name}: not measured, {why}")
    print(f"load after: {os.getloadavg()[0]:.2f}")


def take_turns(
    served: Mapping[str, Served], requests: int, tries: int
) -> dict[int, dict[str, list[Run]]]:
    """The runs of each server by how many requests are sent at a time; all servers take turns."""
    for one in served.values():
        one.turn(WARM_UP, max(PARALLEL))
    runs: dict[int, dict[str, list[Run]]] = {
        parallel: {name: [] for name in served} for parallel in PARALLEL
    }
    for parallel in PARALLEL:
        for _ in range(tries):
            for name, one in served.items():
                runs[parallel][name].append(one.turn(requests, parallel))
    return runs


def show(parallel: int, runs: Mapping[str, Sequence[Run]]) -> None:
    """One table; ratios: how many times as many requests a second ours answers, and how many times
    as much processor time a request takes it.
    """
    columns = ("server", "min", "avg", "p50", "p95", "p99", "max", "req/s", "failed", "CPU µs")
    table = Table(
        *columns,
        "ours is",
        "CPU of ours",
        box=box.SIMPLE,
        title=f"{parallel} at a time, ms",
    )
    first = next(iter(runs.values()))
    for name, turns in runs.items():
        run = best(turns)
        ms = run.milliseconds if len(run.milliseconds) else np.array([np.nan])
        figures = (ms.min(), ms.mean(), *np.percentile(ms, [50, 95, 99]), ms.max())
        pairs = [*zip(first, turns, strict=True)]
        rate = median(own.rate / other.rate for own, other in pairs)
        cpu = median(own.cpu / other.cpu if other.cpu else math.nan for own, other in pairs)
        counts = (f"{run.rate:,.0f}", f"{run.failures}", f"{run.cpu:.0f}")
        shown = [f"{figure:.2f}" for figure in figures]
        table.add_row(name, *shown, *counts, f"{rate:.2f} ×", f"{cpu:.2f} ×")
    Console(width=130).print(table)


def ready_made_model() -> bytes:
    """300 trees on 40 numbers, as ONNX."""
    source = np.random.default_rng(0)
    inputs = source.normal(size=(20_000, 40)).astype(np.float32)
    fraud = inputs[:, :5].sum(axis=1) + source.normal(size=20_000) * 2 > 4
    return bytes(
        BoostedTrees(n_trees=300, threads=1).fit(inputs, fraud).to_onnx().SerializeToString()
    )


@contextmanager
def started(peer: Peer, environments: Path, model: bytes) -> Iterator[Served]:
    """A peer that is up, with the same thousand requests again and again."""
    folder, port = peer.prepare(environments, model), free_port()
    source = random.Random(1)
    numbers = [json.dumps([round(source.gauss(0, 1), 4) for _ in range(40)]) for _ in range(1_000)]
    sent = [request(peer.path, (peer.body % one).encode()) for one in numbers]
    with running(peer.command(folder, port), folder, peer.variables(folder, port)) as server:
        wait(server, port, sent[0])
        yield Served(server, port, cycle(sent))


@contextmanager
def ours(cache: Path) -> Iterator[Served]:
    """Our service with the whole path; every payment is sent once, so each run goes on where the
    one before it ended.
    """
    with tempfile.TemporaryDirectory(dir=cache) as home:
        variables, bundle = {**os.environ, "SHROFF_HOME": home}, f"{home}/bundle"
        warm, coming = train(cache, home)
        bodies = [next(coming).partition(b"\r\n\r\n")[2] for _ in range(5_000)]
        show_stages(Path(home), warm, bodies)
        port = free_port()
        command = [*PROGRAM, "serve", bundle, "--port", f"{port}", "--warm", str(warm)]
        with running([*command, "--without-keys"], Path(home), variables) as server:
            wait_until_ready(server, port)
            yield Served(server, port, coming)


def train(cache: Path, home: str) -> tuple[Path, Iterator[bytes]]:
    """Train `home/bundle`; the table to start a service from, and the requests of what follows."""
    table = pl.read_parquet(os.environ["SHROFF_BENCH_DATA"]).sort("TX_DATETIME")
    cache.mkdir(parents=True, exist_ok=True)
    known, warm = cache / "known.parquet", cache / "warm.parquet"
    before = table.filter(pl.col("TX_DATETIME") < FIRST)
    before.write_parquet(known)
    before.filter(pl.col("TX_DATETIME") >= FIRST - timedelta(days=38)).write_parquet(warm)
    split = ["--split", "time:2018-07-18/7/7/7", "--bundle", f"{home}/bundle"]
    command = [*PROGRAM, "train", str(PROJECT), "--data", str(known), *split]
    variables = {**os.environ, "SHROFF_HOME": home}
    subprocess.run(command, check=True, capture_output=True, env=variables)
    return warm, payments(table.filter(pl.col("TX_DATETIME") >= FIRST))


def show_stages(home: Path, warm: Path, bodies: Sequence[bytes]) -> None:
    """Print where the time of our own path goes."""
    sent = home / "payments.ndjson"
    sent.write_bytes(b"\n".join(bodies))
    module = [
        sys.executable,
        "-m",
        "benchmarks.serving_stages",
        f"{home}/bundle",
        str(warm),
        str(sent),
    ]
    done = subprocess.run(
        module, check=True, capture_output=True, text=True, cwd=PROJECT.parents[1]
    )
    print("ours, CPU µs a payment without HTTP:")
    for stage, micros in json.loads(done.stdout).items():
        print(f"  {stage:24}{micros:7.1f}")


def payments(table: pl.DataFrame) -> Iterator[bytes]:
    """Requests for the handbook's payments, in their order."""
    names = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"]
    for row in table.select(names).iter_rows(named=True):
        told = {
            **row,
            "TRANSACTION_ID": str(row["TRANSACTION_ID"]),
            "TX_DATETIME": f"{row['TX_DATETIME'].isoformat()}Z",
        }
        yield request("/v1/decisions", json.dumps(told).encode())


def best(runs: Sequence[Run]) -> Run:
    """The run that was disturbed least."""
    return max(runs, key=lambda run: run.rate)


@contextmanager
def running(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], *, cores: str = "0"
) -> Iterator[subprocess.Popen[bytes]]:
    """A server on the first core, or on `cores`, with all its processes in one group."""
    with (folder / "server.log").open("wb") as log:
        pinned = ["taskset", "-c", cores, *command]
        server = subprocess.Popen(
            pinned, cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield server
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait(server: subprocess.Popen[bytes], port: int, sent: bytes) -> None:
    """Until a request is answered with 200.

    Raises:
        OSError: it stopped, or did not answer in time.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise OSError(
                f"it stopped with exit code {server.returncode}, see server.log in its environment"
            )
        try:
            if drive(port, [sent], 1, server.pid).failures == 0:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise OSError(
        f"it gave no good answer within {_PATIENCE:.0f} seconds, see server.log in its environment"
    )


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    """The same of ours, which says by itself when it is ready."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise OSError("our own service did not start")


def free_port() -> int:
    """A port that nobody listens on, as are probably the two above it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
