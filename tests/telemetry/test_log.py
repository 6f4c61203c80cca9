"""The log of a service started by its command: useful to read, and without a value that anybody
sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from patience import PATIENCE, until
from shroff.control import Keys
from shroff.serve import asgi, problem
from shroff.telemetry import log
from shroff.telemetry.meter import Meter
from web import TRUST

Pay = Callable[..., dict[str, Any]]
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@contextmanager
def running(bundle: Path, home: Path, *options: str) -> Iterator[tuple[str, Path]]:
    """The URL of `shroff serve`, and its standard error."""
    command = [
        sys.executable,
        "-m",
        "shroff",
        "serve",
        str(bundle),
        "--port",
        "0",
        "--json",
        *options,
    ]
    environment = os.environ | {"SHROFF_HOME": str(home)}
    told = home / "stderr"
    with told.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(4)]
        url = json.loads("".join(lines))["url"]
        client = httpx.Client(
            base_url=url, transport=httpx.HTTPTransport(retries=3, verify=TRUST), timeout=PATIENCE
        )
        until(lambda: client.get("/health/ready").status_code == 200)
        client.close()
        yield url, told
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def texts(value: Any) -> Iterator[str]:
    """Every name and value in what was sent, that is long enough to be told from the words of a
    log.
    """
    if isinstance(value, dict):
        for name, held in value.items():
            yield from (*texts(name), *texts(held))
    elif isinstance(value, list):
        for held in value:
            yield from texts(held)
    elif len(str(value)) > 4:
        yield str(value)


def test_no_line_holds_a_value_that_was_sent(bundle_folder: Path, tmp_path: Path, pay: Pay) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    tokens = [
        keys.create("shop", ["decide"]),
        keys.create("slow", ["decide"], rate=0.001),
        "shroff_made_up-token",
    ]
    known = set(pay())
    secret = {name: f"{name}-{token_hex(6)}" for name in known if isinstance(pay()[name], str)} | {
        "currency": "EUR"
    }
    mine = pay(amount=73451.25) | secret | {"created_at": pay()["created_at"]}
    sent: list[Any] = [
        mine,
        mine,
        mine | {"amount": 91827.5},
        mine | {"currency": "NOWHERE"},
        mine | {"created_at": "4111111111111111"},
        mine | {"payment_id": "x" * 5000},
        {"4111111111111111": "5500005555555559"},
        ["garbage-in-a-list"],
        "just-a-text",
    ]
    raw = [
        b"\xff\xfe-not-utf8-4000001234567899",
        b'{"card_id": "unended-4012888888881881',
        b"{" * 5000,
    ]
    with running(bundle_folder, tmp_path, "--log", "json") as (url, told):
        with httpx.Client(base_url=url, timeout=PATIENCE, verify=TRUST) as client:
            bodies = [json.dumps(body).encode() for body in sent] + raw
            for token in tokens:
                headers = {"authorization": f"Bearer {token}", "traceparent": PARENT}
                for path in (
                    "/v1/decisions",
                    "/v1/decisions:batch",
                    "/v2/models/m-378282246310005/infer",
                    "/execute",
                ):
                    for body in bodies:
                        client.post(path, content=body, headers=headers)
                client.get("/v1/decisions/a-card-371449635398431", headers=headers)
                client.put("/nowhere/6011111111111117?card=30569309025904", headers=headers)
        with httpx.Client(base_url=url, verify=TRUST) as broken:
            broken.post(
                "/v1/decisions",
                content=b"5105105105105100",
                headers={"content-type": "odd/3530111333300000"},
            )
            broken.delete("/v1/decisions?card=3566002020360505")
    written = told.read_text()
    for value in {
        *texts(sent),
        *(text[7:] for text in tokens),
        *(text.split("_")[1] for text in tokens[:2]),
    }:
        if value not in known:
            assert value not in written
    # nothing with the digits of a card at all
    assert not re.search(r"\d{13,19}", re.sub(TRACE, "", written))
    lines = [json.loads(line) for line in written.splitlines()]
    assert all({"time", "level", "event", "trace_id", "message"} <= set(line) for line in lines)
    assert {line["event"] for line in lines} == {"listening", "started", "refused", "stopped"}
    refused = [line for line in lines if line["event"] == "refused"]
    assert {line["trace_id"] for line in refused} == {TRACE, None}
    assert {"bad-payment", "payment-conflict", "unauthorized", "too-many-requests"} <= {
        line["outcome"] for line in refused
    }
    assert sum(line.get("not_logged_before", 0) for line in refused) + len(refused) > 10


def test_the_usual_log_reads_as_text(bundle_folder: Path, tmp_path: Path) -> None:
    with running(bundle_folder, tmp_path, "--without-keys") as (url, told):
        httpx.post(
            f"{url}/v1/decisions", content=b"{", headers={"traceparent": PARENT}, verify=TRUST
        )
    # while it starts, whoever asks is told that it is not ready
    lines = [line for line in told.read_text().splitlines() if "/health/" not in line]
    assert len(lines) == 3
    assert re.fullmatch(r"[\d-]+ [\d:.]+ info: features start from nothing\.", lines[0])
    assert re.fullmatch(
        rf"[\d-]+ [\d:.]+ info: refused /v1/decisions with 400 \(bad-payment\)\. \[trace {TRACE}\]",
        lines[1],
    )
    assert re.fullmatch(
        r"[\d-]+ [\d:.]+ info: the ledger ends with 1:[0-9a-f]{12}; noted elsewhere, .*", lines[2]
    )


@pytest.fixture
def line() -> Callable[[logging.LogRecord], dict[str, Any]]:
    return lambda record: json.loads(log._Lines().format(record))


def record(
    name: str, message: str, *arguments: Any, error: BaseException | None = None
) -> logging.LogRecord:
    raised = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(name, logging.ERROR, "", 0, message, arguments, raised)


def test_what_others_log_is_written_without_its_values(
    line: Callable[[logging.LogRecord], dict[str, Any]],
) -> None:
    try:
        dict[str, str]()["4111111111111111"]
    except KeyError as error:
        raised = error
    foreign = line(
        record(
            "asyncio", "Exception in callback %s\nhandle: <4111111111111111>", "4111", error=raised
        )
    )
    assert "4111" not in json.dumps(foreign)
    assert "KeyError" in foreign["message"]
    assert "test_log.py" in foreign["message"]
    own = line(record("shroff.serve", "unexpected", error=raised))
    assert "4111" not in json.dumps(own)


def test_what_the_event_loop_loses_is_counted_and_told_without_its_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meter = Meter()

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: log.lost(meter, loop, context))
        loop.call_soon(lambda card: dict[str, str]()[card], "4111111111111111")
        await asyncio.sleep(0.01)

    asyncio.run(work())
    assert meter.failures["unexpected"] == 1
    assert "unexpected KeyError" in caplog.text
    assert "4111" not in caplog.text


def test_a_defect_that_is_met_again_and_again_fills_no_disk(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(1_000):
        assert asgi.explain(KeyError("4111111111111111"))[0] is problem.INTERNAL
    assert 0 < len(caplog.records) <= 30, "ten a second"
    assert "4111111111111111" not in caplog.text
