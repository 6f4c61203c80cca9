"""Workers as a user sees them: one service to scrape, and none that outlives the process that started it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.several import children, ledger_url, service, state_url
from serve.telemetry.scraped import Scrape

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
                answer = httpx.get(f"{url}/metrics", timeout=10)
            except httpx.TransportError:
                return seen[-1]
            seen.append(Scrape(answer.text).value("shroff_decisions_total"))
            return seen[-1]

        send(url, [pay() for _ in range(40)])
        until(lambda: all(decided() == 40 for _ in range(6)))
        found = Scrape(httpx.get(f"{url}/metrics", timeout=10).text)
        assert found.value("shroff_stage_seconds_count", stage="whole") == 40
        assert found.value("shroff_requests_total", route="/v1/decisions", outcome="ok") == 40
        assert found.value("shroff_ready") == 1
        os.kill(children(parent.pid)[0], signal.SIGKILL)
        until(lambda: len(children(parent.pid)) == 2)
        send(url, [pay() for _ in range(20)])
        until(lambda: all(decided() == 60 for _ in range(6)))
        assert seen == sorted(seen), "no counter falls when a worker dies"


def send(url: str, payments: list[dict[str, Any]]) -> None:
    """Send payments, each again until it is answered: a worker that was killed takes a while to be replaced."""

    def answered(payment: dict[str, Any]) -> bool:
        try:
            return httpx.post(f"{url}/v1/decisions", json=payment, timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    for payment in payments:
        until(lambda payment=payment: answered(payment))  # type: ignore[misc]  # bound now


def test_workers_end_with_the_process_that_started_them(
    bundle_folder: Path, tmp_path: Path, state_url: str, ledger_url: str
) -> None:
    with service(bundle_folder, tmp_path, state_url, ledger_url, 2) as (url, parent):
        workers = children(parent.pid)
        assert len(workers) == 2
        parent.kill()
        parent.wait()
        until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health/live", timeout=1)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
