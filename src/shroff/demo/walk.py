"""The demo: the whole path once, on simulated payments, against a service that really runs."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from rich.console import RenderableType
from rich.table import Table

from shroff.client import Client, Decision
from shroff.control import Keys
from shroff.demo.processes import start_service
from shroff.demo.traffic import payload_of
from shroff.evaluate.report import comparison, payment_parts
from shroff.pipeline import Progress, collect_table, package, summary, train_models
from shroff.project import load_project
from shroff.settings import Settings
from shroff.simulate import simulate, write

LOG_DAYS = 90
SPLIT = "time:{start}/60/7/22"
START = "2024-01-01"
SENT_PAYMENTS = 500


@dataclass(frozen=True)
class DemoResult:
    """What the demo found: parts to print, the same as JSON, and the running service."""

    parts: Sequence[RenderableType]
    document: dict[str, Any]
    server: subprocess.Popen[bytes]
    url: str
    command: str
    payment: dict[str, Any]
    key: str

    def serve(self, port: int) -> str:
        """The line that starts the service again on a port."""
        return f"{self.command} --port {port}"

    def curl(self, port: int | None = None) -> str:
        """A line that sends one more payment to the service that runs, or to one on a port."""
        url = self.url if port is None else f"http://127.0.0.1:{port}"
        body = json.dumps(self.payment).replace("'", "'\\''")
        headers = f"-H 'content-type: application/json' -H 'authorization: Bearer {self.key}'"
        return f"curl -s {url}/v1/decisions {headers} -d '{body}'"

    def stop(self) -> None:
        """Stop the service and wait for it."""
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(timeout=30)


def run_demo(folder: Path, *, payments: int, port: int, progress: Progress) -> DemoResult:
    """Simulate, train three detectors, package, serve, and send held-out payments.

    Args:
        folder: everything is written here: payments, history, bundle, ledger.
        port: of the service; 0 takes a free one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=(folder / "home").resolve())
    progress(f"simulate {payments:,} payments")
    log = simulate(payments, days=LOG_DAYS, start=START, fraud_rate=0.015, seed=7)
    write(log, folder / "payments.parquet")
    project_file = Path(str(files("shroff") / "templates" / "project.py"))
    project = load_project(project_file)
    progress("clean")
    cleaned = collect_table(project, folder / "payments.parquet", key=settings.hmac_key())
    run = train_models(project, cleaned.frame, split=SPLIT.format(start=START), progress=progress)
    progress("package")
    packaged = package(project, run, folder / "bundle", overwrite=True)
    chosen = _busiest(log, LOG_DAYS - 22)
    write(log[: chosen.start], folder / "history.parquet")
    progress("start the service")
    for old in settings.home.glob("ledger.db*"):
        old.unlink()
    key = Keys(settings.control).create("demo", ["decide", "read"])
    warm = ("--warm", str(folder / "history.parquet"))
    server, url = start_service(settings, str(packaged.folder), *warm, port=port)
    try:
        progress(f"send {SENT_PAYMENTS} held-out payments")
        sent = log[chosen]
        decisions, seconds = _send(url, key, sent)
    except BaseException:
        server.kill()
        raise
    shown = _telling(decisions, sent)
    table = _against_truth(decisions, sent)
    command = (
        f"SHROFF_HOME={settings.home} shroff serve {packaged.folder} --warm "
        f"{folder / 'history.parquet'}"
    )
    document = summary(run) | {
        "bundle": str(packaged.folder),
        "url": url,
        "decisions": {f"{action}/{truth}": n for action, truth, n in table},
        "decision": shown,
        "seconds_per_payment": seconds / SENT_PAYMENTS,
        "serve": command,
    }
    parts: list[RenderableType] = [
        payment_parts({part.name: (part.payments, part.frauds) for part in run.parts}),
        comparison({one.name: (one.train, one.test) for one in run.trained}),
        f"Packaged {run.best.name} as {packaged.folder}; sent {SENT_PAYMENTS} held-out payments "
        "one by one, "
        f"{1000 * seconds / SENT_PAYMENTS:.1f} ms each with features and a synced ledger.",
        _decision_table(table),
        "One decision, whole:",
        json.dumps(shown, indent=2, ensure_ascii=False),
    ]
    payment = payload_of(sent.row(SENT_PAYMENTS - 1, named=True)) | {
        "transaction_id": "my-first-payment"
    }
    return DemoResult(parts, document, server, url, command, payment, key)


def _busiest(log: pl.DataFrame, first_day: int) -> slice:
    """The `SENT_PAYMENTS` payments in a row, from `first_day` on, with most frauds."""
    frauds = np.concatenate([[0], np.cumsum(log["is_fraud"].to_numpy())])
    days = (log["created_at"] - log["created_at"][0]).dt.total_days().to_numpy()
    begin = int(np.searchsorted(days, first_day))
    within = frauds[begin + SENT_PAYMENTS :] - frauds[begin:-SENT_PAYMENTS]
    best = begin + int(np.argmax(within))
    return slice(best, best + SENT_PAYMENTS)


def _send(url: str, key: str, log: pl.DataFrame) -> tuple[list[Decision], float]:
    with Client(url, key=key) as client:
        started = time.perf_counter()
        decisions = [client.decide(payload_of(row)) for row in log.iter_rows(named=True)]
        return decisions, time.perf_counter() - started


def _against_truth(decisions: Sequence[Decision], log: pl.DataFrame) -> list[tuple[str, str, int]]:
    truth = ["fraud" if fraud else "genuine" for fraud in log["is_fraud"]]
    pairs = [(decision.action, true) for decision, true in zip(decisions, truth, strict=True)]
    return [
        (action, true, pairs.count((action, true)))
        for action in ("approve", "review", "decline")
        for true in ("genuine", "fraud")
    ]


def _decision_table(counts: Sequence[tuple[str, str, int]]) -> Table:
    table = Table(
        "Decision",
        "genuine",
        "fraud",
        title=f"{SENT_PAYMENTS} held-out payments: decisions against the truth",
    )
    number = {(action, truth): n for action, truth, n in counts}
    for action in ("approve", "review", "decline"):
        table.add_row(action, str(number[action, "genuine"]), str(number[action, "fraud"]))
    return table


def _telling(decisions: Sequence[Decision], log: pl.DataFrame) -> dict[str, Any]:
    """The most suspicious of the frauds that were caught, or of all."""
    caught = [
        d
        for d, fraud in zip(decisions, log["is_fraud"], strict=True)
        if fraud and d.action != "approve"
    ]
    best = max(caught or decisions, key=lambda decision: decision.probability or 0.0)
    document: dict[str, Any] = msgspec.to_builtins(best)
    return document
