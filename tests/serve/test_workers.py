"""Workers as a user sees them: one service to scrape, and none that outlives the process that
started it.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from patience import PATIENCE, until
from serve.several import children, ledger_url, ready, service, starting, state_url
from servers import free_port
from shroff.serve.server import Service, listen
from shroff.serve.workers import Seat, Workers
from shroff.settings import Settings
from telemetry.scraped import Scrape
from web import TRUST

__all__ = ["ledger_url", "state_url"]

Pay = Callable[..., dict[str, Any]]


def test_any_worker_tells_the_figures_of_all(
    bundle_folder: Path, tmp_path: Path, state_url: str, ledger_url: str, pay: Pay
) -> None:
    with service(bundle_folder, tmp_path, state_url, ledger_url, 2) as (url, parent):
        seen = [0.0]

        def decided() -> float:
            """What any worker tells, if one answers."""
            try:
                # a connection each: another worker may answer
                answer = httpx.get(f"{url}/metrics", timeout=PATIENCE, verify=TRUST)
            except httpx.TransportError:
                return seen[-1]
            seen.append(Scrape(answer.text).value("shroff_decisions_total"))
            return seen[-1]

        send(url, [pay() for _ in range(40)])
        until(lambda: all(decided() == 40 for _ in range(6)))
        found = Scrape(httpx.get(f"{url}/metrics", timeout=PATIENCE, verify=TRUST).text)
        assert found.value("shroff_stage_seconds_count", stage="whole") == 40
        assert found.value("shroff_requests_total", route="/v1/decisions", outcome="ok") == 40
        assert found.value("shroff_ready") == 1
        os.kill(children(parent.pid)[0], signal.SIGKILL)
        until(lambda: len(children(parent.pid)) == 2)
        send(url, [pay() for _ in range(20)])
        until(lambda: all(decided() == 60 for _ in range(6)))
        assert seen == sorted(seen), "no counter falls when a worker dies"


def test_a_worker_that_is_not_ready_takes_no_connection_from_one_that_is(
    bundle_folder: Path, tmp_path: Path, state_url: str, ledger_url: str
) -> None:
    log = tmp_path / "service.log"
    with service(bundle_folder, tmp_path, state_url, ledger_url, 2) as (url, parent):
        statuses: list[int] = []

        def ask() -> None:
            """Ask over connections of their own; those that the killed worker had may break."""
            for _ in range(10):
                with suppress(httpx.TransportError):
                    statuses.append(
                        httpx.get(f"{url}/health/ready", timeout=PATIENCE, verify=TRUST).status_code
                    )

        def back(started: int) -> bool:
            ask()
            return log.read_text().count("features start from") > started

        for _ in range(2):
            started = log.read_text().count("features start from")
            os.kill(children(parent.pid)[0], signal.SIGKILL)
            until(partial(back, started), said=log.read_text)
            ask()
        assert set(statuses) == {200}


def test_workers_that_cannot_start_say_why(
    bundle_folder: Path, tmp_path: Path, state_url: str
) -> None:
    away = f"postgresql+psycopg://shroff@127.0.0.1:{free_port()}/none"
    with starting(bundle_folder, tmp_path, state_url, away, 2) as (url, _):

        def said() -> str:
            with suppress(httpx.TransportError):
                answer = httpx.get(f"{url}/health/ready", timeout=PATIENCE, verify=TRUST)
                return answer.text if answer.status_code == 503 else ""
            return ""

        until(lambda: "the service is not ready" in said())


def send(url: str, payments: list[dict[str, Any]]) -> None:
    """Send payments, each again until it is answered: a worker that was killed takes a while to be
    replaced.
    """

    def answered(payment: dict[str, Any]) -> bool:
        try:
            return (
                httpx.post(
                    f"{url}/v1/decisions", json=payment, timeout=PATIENCE, verify=TRUST
                ).status_code
                == 200
            )
        except httpx.TransportError:
            return False

    for payment in payments:
        until(lambda payment=payment: answered(payment))  # type: ignore[misc]  # bound now


@pytest.mark.parametrize("moment", range(6))
def test_workers_end_with_the_process_that_started_them_at_any_moment(
    bundle_folder: Path, tmp_path: Path, state_url: str, ledger_url: str, moment: int
) -> None:
    with starting(bundle_folder, tmp_path, state_url, ledger_url, 2) as (url, parent):
        begun = time.monotonic()
        until(lambda: len(children(parent.pid)) == 2)
        # five moments of the first two seconds, in which a worker imports, starts and begins to
        # listen to signals
        until(lambda: ready(url) if moment == 5 else time.monotonic() - begun > 0.4 * moment)
        workers = children(parent.pid)
        parent.kill()
        parent.wait()
        until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health/live", timeout=PATIENCE, verify=TRUST)


def stubborn(listener: socket.socket, seat: Seat, *, asked: int) -> None:
    """A worker that ends only when it was asked to so many times."""
    signals: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    (seat.folder / "started").touch()
    while len(signals) < asked:
        time.sleep(0.01)


def work_in(folder: Path, asked: int, drain: float) -> None:
    """What a service does, with stubborn workers."""
    tempfile.tempdir = str(folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Workers(partial(stubborn, asked=asked), listener, 1, drain=drain).run()


@pytest.mark.parametrize(
    ("asked", "drain", "how"), [(3, 5.0, "asked again"), (1_000, 1.0, "killed after the drain")]
)
def test_an_orphan_ends_whatever_it_does_with_signals(
    tmp_path: Path, asked: int, drain: float, how: str
) -> None:
    parent = get_context("spawn").Process(target=work_in, args=(tmp_path, asked, drain))
    parent.start()
    until(lambda: list(tmp_path.glob("shroff-*/started")))
    assert parent.pid is not None
    (orphan,) = children(parent.pid)
    parent.kill()
    parent.join()
    until(lambda: not Path(f"/proc/{orphan}").exists(), said=lambda: how)


def test_a_signal_before_the_server_listens_to_signals_is_not_lost(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        signal.raise_signal(signal.SIGTERM)
        uvicorn_run(self, sockets)

    uvicorn_run = uvicorn.Server.run
    monkeypatch.setattr(uvicorn.Server, "run", run)
    settings = Settings(
        home=tmp_path, ledger=f"sqlite:///{tmp_path}/ledger.db", personal_key="6b" * 32
    )
    with listen("127.0.0.1", 0) as listener:
        Service(settings=settings, bundle=bundle_folder, keys=False).run(listener)
