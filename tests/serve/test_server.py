"""The serving process: restarts, kills, signals, and what it is made of."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from patience import PATIENCE, until
from serve.audit import assert_equal_to_batch, assert_replays, body, payments, read_ledger
from serve.fixtures import iso
from serve.service import KEY, Service
from shroff.client import AsyncClient, Client, Decision
from shroff.errors import ConfigurationError, Unavailable
from shroff.ledger import Ledger
from shroff.package import Bundle
from shroff.scoring.history import history_of
from shroff.scoring.scorer import Scorer
from shroff.serve import server
from shroff.settings import Settings

Pay = Callable[..., dict[str, Any]]


async def load(service: Service, pay: Pay, enough: threading.Event) -> dict[str, Decision]:
    """Send payments and results, many at once, until the service is gone; every decision that was
    answered.
    """
    answered: dict[str, Decision] = {}
    numbers = count()

    async def send(client: AsyncClient) -> None:
        while True:
            number = next(numbers)
            sent = pay(payment_id=f"n{number}", card_id=f"c{number % 5}", host_id=f"h{number % 11}")
            try:
                answered[f"n{number}"] = await client.decide(sent)
                if number % 3 == 0:
                    await client.result(f"n{number}", "failed")
            except Unavailable:
                return
            if len(answered) >= 100:
                enough.set()

    async with AsyncClient(service.url, retries=0, timeout=PATIENCE) as client:
        await asyncio.gather(*[send(client) for _ in range(12)])
    return answered


def test_whatever_was_answered_survives_a_kill(
    bundle_folder: Path, bundle: Bundle, tmp_path: Path, pay: Pay
) -> None:
    enough = threading.Event()
    with Service(bundle_folder, tmp_path) as service:

        def kill() -> None:
            enough.wait(PATIENCE)
            service.process.send_signal(signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        answered = asyncio.run(load(service, pay, enough))
        killer.join()
        service.process.wait(PATIENCE)
    assert len(answered) >= 100
    with Service(bundle_folder, tmp_path) as service, Client(service.url) as client:
        for payment_id, decision in answered.items():
            assert client.decision(payment_id) == decision
        client.decide(pay(payment_id="next", card_id="c1"))
    entries = read_ledger(service.ledger)
    assert {entry.payment_id for entry in payments(entries)} >= answered.keys()
    assert entries[-1].payment_id == "next"
    assert_equal_to_batch(bundle, entries)
    assert_replays(bundle, entries)


def test_a_request_in_flight_is_finished_before_the_end(
    bundle_folder: Path, tmp_path: Path, pay: Pay
) -> None:
    content = msgspec.json.encode(pay(payment_id="last"))
    head = b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(content)
    with Service(bundle_folder, tmp_path) as service:
        with socket.create_connection(service.address, timeout=PATIENCE) as connection:
            # once it was answered, the service has accepted the connection and sees what comes next
            connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(65536)
            connection.sendall(head + content[:10])
            service.process.send_signal(signal.SIGTERM)
            wait_until_closed(service)
            connection.sendall(content[10:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert service.process.wait(PATIENCE) == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    (entry,) = read_ledger(service.ledger)
    assert answer.endswith(msgspec.json.encode(body(entry)["answer"]))
    assert service.log.read_text() == ""


def wait_until_closed(service: Service) -> None:
    def refused() -> bool:
        try:
            socket.create_connection(service.address, timeout=PATIENCE).close()
        except ConnectionRefusedError:
            return True
        return False

    until(refused)


def test_history_warms_and_is_not_counted_twice(
    bundle_folder: Path, bundle: Bundle, tmp_path: Path, pay: Pay
) -> None:
    now = time.time()
    rows = [
        pay(
            payment_id=f"h{n}",
            created_at=iso(now - 600 + n),
            result="failed" if n == 2 else "authorised",
        )
        | {"result_at": iso(now - 300), "is_fraud": None, "labelled_at": None}
        for n in range(3)
    ]
    history = tmp_path / "history.csv"
    pl.DataFrame(rows).write_csv(history)
    sent = [pay(payment_id=name) for name in ("a", "b")]
    with (
        Service(bundle_folder, tmp_path / "home", warm=history) as service,
        Client(service.url) as client,
    ):
        client.decide(
            {name: value for name, value in rows[0].items() if name not in bundle.schema.later}
        )
        client.decide(sent[0])
    again = Scorer(
        bundle,
        Ledger(service.ledger),
        key=KEY,
        history=lambda: history_of(bundle, history, KEY, 0.0),
    )
    again.start()
    asyncio.run(again.decide(msgspec.json.encode(sent[1])))
    again.close()
    counts = [
        (body(entry)["features"]["card_count_1h"], body(entry)["features"]["card_failed_1d"])
        for entry in read_ledger(service.ledger)
    ]
    # h0 comes again live: new to the first ledger, and known from it at the second start
    assert counts == [(3.0, 1.0), (4.0, 1.0), (4.0, 1.0)]


def test_a_taken_port_is_one_sentence(bundle_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(home=tmp_path, ledger="", personal_key=KEY.hex())
        service = server.Service(bundle=bundle_folder, settings=settings)
        with pytest.raises(
            ConfigurationError, match=f"cannot listen on 127.0.0.1, port {port}: .*in use"
        ):
            server.serve(service, port=port)


def test_a_ledger_that_another_process_writes_is_waited_for(
    bundle_folder: Path, tmp_path: Path
) -> None:
    service = Service(bundle_folder, tmp_path)
    starting = threading.Thread(target=service.__enter__)
    with Ledger(service.ledger):
        starting.start()
        until(lambda: service.url and "another process writes it" in service.log.read_text())
        refused = service.request("GET", "/health/ready")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "another process writes it" in refused.json()["detail"]
        assert service.request("POST", "/v1/decisions", json={}).status_code == 503
        assert service.request("GET", "/health/live").status_code == 200
    starting.join(PATIENCE)
    assert service.request("GET", "/health/ready").status_code == 200
    service.__exit__()


def test_the_serving_process_imports_no_training_library(
    bundle_folder: Path, tmp_path: Path
) -> None:
    program = """
import sys, threading, urllib.error, urllib.request
from pathlib import Path
from shroff.serve.server import Service, serve
from shroff.settings import Settings
import os, signal

def look(url):
    def ask():
        for path in ("/openapi.json", "/v1/models"):
            urllib.request.urlopen(url + path).read()
        table = b"note\\n" + b'"a \\\\" b"\\n' * 1_000 + b"\\\\" * 90_000
        headers = {"content-type": "text/csv"}
        try:
            urllib.request.urlopen(urllib.request.Request(url + "/invocations", table, headers))
        except urllib.error.HTTPError as refused:
            assert refused.code == 400, refused.read()
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=ask).start()

home = Path(sys.argv[2])
serve(Service(bundle=sys.argv[1], settings=Settings(home=home), keys=False), port=0, listening=look)
forbidden = {"sklearn", "lightgbm", "scipy", "mlflow", "keras"}
forbidden |= {"tensorflow", "torch", "onnx", "numba", "pandas", "litestar", "jinja2"}
print(sorted(forbidden & {name.partition(".")[0] for name in sys.modules}))
"""
    command = [sys.executable, "-c", program, str(bundle_folder), str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ}, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
