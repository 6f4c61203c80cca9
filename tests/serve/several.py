"""Several workers as one service, in processes of their own, over Redis and PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from forks import Process, start
from patience import PATIENCE, until
from serve.service import IMPORTED, KEY
from servers import or_skip, postgres_schema, redis
from web import TRUST

PROGRAM = """
import sys
from pathlib import Path
from shroff.lazy import without_collection
with without_collection():
    from shroff.serve.server import Service, serve
    from shroff.settings import Settings
if __name__ == "__main__":
    bundle, home, state, ledger, workers = sys.argv[1:]
    settings = Settings(home=Path(home), ledger=ledger, state=state, personal_key=KEY)
    tell = lambda url: print(url, flush=True)
    service = Service(bundle=bundle or None, settings=settings, keys=False)
    serve(service, port=0, workers=int(workers), listening=tell)
""".replace("KEY", repr(KEY.hex()))


@pytest.fixture
def ledger_url(postgres_server: str) -> Iterator[str]:
    """A ledger in PostgreSQL of its own."""
    with postgres_schema(postgres_server) as url:
        yield url


@pytest.fixture
def state_url() -> Iterator[str]:
    """A Redis server of its own: a state outlives the ledger of a test."""
    with or_skip(redis(), "Redis server") as url:
        yield url


@contextmanager
def starting(
    bundle: Path | None, home: Path, state: str, ledger: str, workers: int
) -> Iterator[tuple[str, Process]]:
    """A service that listens, and is about to start its workers; without a bundle it follows what
    is published.
    """
    home.mkdir(exist_ok=True)
    program = home / "program.py"
    program.write_text(PROGRAM)
    command = [
        sys.executable,
        "-W",
        "error",
        str(program),
        str(bundle or ""),
        str(home),
        state,
        ledger,
        str(workers),
    ]
    with (home / "service.log").open("a") as log:
        process = start(command, IMPORTED, stderr=log, env=os.environ)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, (home / "service.log").read_text()
        yield url, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        process.stdout.close()


@contextmanager
def service(
    bundle: Path | None, home: Path, state: str, ledger: str, workers: int
) -> Iterator[tuple[str, Process]]:
    """A service whose workers are all ready."""
    log = home / "service.log"
    before = _starts(log)
    with starting(bundle, home, state, ledger, workers) as (url, process):
        # whoever answers says only that one worker is ready: each says in the log what it started
        # from
        until(
            lambda: (
                _starts(log) == before + workers and all(ready(url) for _ in range(workers * 3))
            ),
            said=log.read_text,
        )
        yield url, process


def _starts(log: Path) -> int:
    """How many workers have written that they are ready to decide."""
    return log.read_text().count("features start from") if log.exists() else 0


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=PATIENCE, verify=TRUST).status_code == 200
    except httpx.TransportError:
        return False


def children(parent: int) -> list[int]:
    """The workers of a service."""
    command = ["pgrep", "-P", str(parent), "-f", "spawn_main"]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return [int(line) for line in found.stdout.split()]
