"""The whole service beside servers that do the model only: one load generator, server on one core,
client on the other.

    SHROFF_BENCH_DATA=handbook.parquet python -m benchmarks.serving --environments CACHE [--only
    NAME] [--tries 3]

Ours reads a payment, computes 17 velocity features (`serving_project.py`), scores 300 trees,
applies the policy and answers when SQLite has synced the decision to disk. A peer scores 300 trees
on 40 ready-made numbers. Of several tries the best one counts, for each alike; the load of the
machine is printed. A peer that does not install or start is listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.serving_load import Run, drive, request
from benchmarks.serving_peers import PEERS, Peer
from shroff.detect import BoostedTrees

PROJECT = Path(__file__).with_name("serving_project.py")
FIRST = datetime(2018, 8, 8)
"""When the payments that are sent begin."""
PARALLEL = (22, 1)
WARM_UP = 2_000
_PATIENCE = 180.0  # seconds for a server to start


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--environments", type=Path, default=Path.home() / ".cache" / "shroff-bench"
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument(
        "--only", action="append", help="`ours` or a peer's name; several times for several"
    )
    chosen = parser.parse_args()
    wanted = chosen.only or ["ours", *(peer.name for peer in PEERS)]
    runs: dict[str, dict[int, Run]] = {}
    absent: dict[str, str] = {}
    print(f"load before: {os.getloadavg()[0]:.2f}")
    if "ours" in wanted:
        runs["ours: whole path"] = ours(chosen.environments, chosen.requests, chosen.tries)
    model = ready_made_model()
    for peer in PEERS:
        if peer.name in wanted:
            try:
                runs[peer.name] = measure(
                    peer, chosen.environments, model, chosen.requests, chosen.tries
                )
            except (OSError, subprocess.CalledProcessError) as error:
                absent[peer.name] = f"{type(error).__name__}: {str(error)[:200]}"
            print(f"{peer.name}: {absent.get(peer.name, 'measured')}", flush=True)
    show(runs)
    for name, why in absent.items():
        print(f"{name}: not measured, {why}")
    print(f"load after: {os.getloadavg()[0]:.2f}")


def show(runs: dict[str, dict[int, Run]]) -> None:
    """One table; ratio: how many times as many requests a second ours answers."""
    for parallel in PARALLEL:
        columns = (
            "server",
            "min",
            "avg",
            "p50",
            "p95",
            "p99",
            "max",
            "req/s",
            "failed",
            "CPU µs",
            "ours is",
        )
        table = Table(*columns, box=box.SIMPLE, title=f"{parallel} at a time, ms")
        first = next(iter(runs.values()), {}).get(parallel)
        for name, found in runs.items():
            run = found[parallel]
            ms = run.milliseconds if len(run.milliseconds) else np.array([np.nan])
            figures = (ms.min(), ms.mean(), *np.percentile(ms, [50, 95, 99]), ms.max())
            ratio = f"{first.rate / run.rate:.2f} ×" if first else ""
            counts = (f"{run.rate:,.0f}", f"{run.failures}", f"{run.cpu:.0f}", ratio)
            table.add_row(name, *(f"{figure:.2f}" for figure in figures), *counts)
        Console(width=120).print(table)


def ready_made_model() -> bytes:
    """300 trees on 40 numbers, as ONNX."""
    source = np.random.default_rng(0)
    inputs = source.normal(size=(20_000, 40)).astype(np.float32)
    fraud = inputs[:, :5].sum(axis=1) + source.normal(size=20_000) * 2 > 4
    return bytes(
        BoostedTrees(n_trees=300, threads=1).fit(inputs, fraud).to_onnx().SerializeToString()
    )


def measure(
    peer: Peer, environments: Path, model: bytes, requests: int, tries: int
) -> dict[int, Run]:
    """The best of several runs of a peer, by how many requests are sent at a time."""
    folder, port = peer.prepare(environments, model), free_port()
    source = random.Random(1)
    numbers = [json.dumps([round(source.gauss(0, 1), 4) for _ in range(40)]) for _ in range(1_000)]
    sent = [request(peer.path, (peer.body % one).encode()) for one in numbers] * (
        requests // 1_000 + 1
    )
    with running(peer.command(folder, port), folder, peer.variables(folder, port)) as server:
        wait(server, port, sent[0])
        drive(port, sent[:WARM_UP], 22, server.pid)
        return {
            parallel: best(
                [drive(port, sent[:requests], parallel, server.pid) for _ in range(tries)]
            )
            for parallel in PARALLEL
        }


def ours(cache: Path, requests: int, tries: int) -> dict[int, Run]:
    """The same of the whole path; every payment is sent once, so each run goes on where the one
    before it ended.
    """
    table = pl.read_parquet(os.environ["SHROFF_BENCH_DATA"]).sort("TX_DATETIME")
    cache.mkdir(parents=True, exist_ok=True)
    known, warm = cache / "known.parquet", cache / "warm.parquet"
    before = table.filter(pl.col("TX_DATETIME") < FIRST)
    before.write_parquet(known)
    before.filter(pl.col("TX_DATETIME") >= FIRST - timedelta(days=38)).write_parquet(warm)
    program = [sys.executable, "-m", "shroff"]
    split = ["--split", "time:2018-07-18/7/7/7"]
    with tempfile.TemporaryDirectory(dir=cache) as home:
        variables = {**os.environ, "SHROFF_HOME": home}
        train = [
            *program,
            "train",
            str(PROJECT),
            "--data",
            str(known),
            *split,
            "--bundle",
            f"{home}/bundle",
        ]
        subprocess.run(train, check=True, capture_output=True, env=variables)
        port = free_port()
        command = [
            *program,
            "serve",
            f"{home}/bundle",
            "--port",
            f"{port}",
            "--warm",
            f"{warm}",
            "--without-keys",
        ]
        coming = payments(table.filter(pl.col("TX_DATETIME") >= FIRST))
        show_stages(
            Path(home), warm, [next(coming).partition(b"\r\n\r\n")[2] for _ in range(5_000)]
        )
        with running(command, Path(home), variables) as server:
            wait_until_ready(server, port)
            drive(port, [next(coming) for _ in range(WARM_UP)], 22, server.pid)
            return {
                parallel: best(
                    [
                        drive(port, [next(coming) for _ in range(requests)], parallel, server.pid)
                        for _ in range(tries)
                    ]
                )
                for parallel in PARALLEL
            }


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
    command: Sequence[str], folder: Path, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A server on the first core, with all its processes in one group."""
    with (folder / "server.log").open("wb") as log:
        pinned = ["taskset", "-c", "0", *command]
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
