"""What the service does with a version of uvicorn that it does not know."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from patience import PATIENCE, until
from serve.service import KEY
from serve.several import ready
from shroff.client import Client
from shroff.serve import fence, server
from shroff.serve.connection import Connection
from shroff.serve.fence import http_protocol
from shroff.settings import Settings
from web import TRUST

Pay = Callable[..., dict[str, Any]]


def test_the_installed_uvicorn_is_as_the_connection_needs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert http_protocol() is Connection
    assert not caplog.records


@pytest.mark.parametrize("name", ["on_body", "on_headers_complete", "gone"])
def test_a_method_that_changed_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(fence._METHODS, name, ("body", "more"))
    assert http_protocol() == "auto"
    assert f"no `{name}(body, more)`" in caplog.text
    assert [record.__dict__["event"] for record in caplog.records] == ["plain_http"]


def test_an_attribute_that_went_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fence, "_CYCLE_ATTRIBUTES", ("message_event", "renamed"))
    assert http_protocol() == "auto"
    assert "`RequestResponseCycle.renamed`" in caplog.text


def test_a_uvicorn_without_the_module_serves_plain_http() -> None:
    """In a process of its own, where nothing has imported the module before."""
    code = (
        "import sys; sys.modules['uvicorn.protocols.http.httptools_impl'] = None; "
        "import shroff.serve.app; from shroff.serve.fence import http_protocol; "
        "print(http_protocol())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "auto\n"


def test_payments_are_decided_over_plain_http_too(
    bundle_folder: Path,
    tmp_path: Path,
    pay: Pay,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(fence._METHODS, "gone", ())
    caplog.set_level(logging.WARNING)
    settings = Settings(home=tmp_path, personal_key=KEY.hex())
    app = server.Service(settings=settings, bundle=bundle_folder, keys=False).app()
    running = uvicorn.Server(server._config(app, None))
    with server.listen("127.0.0.1", 0) as listener:
        url = server.url_of(listener, "http")
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: ready(url))
            payment = pay()
            with Client(url, timeout=PATIENCE) as client:
                decision = client.decide(payment)
                assert client.decide(payment) == decision
            assert (
                httpx.post(
                    f"{url}/v1/decisions", content=b"{", timeout=PATIENCE, verify=TRUST
                ).status_code
                >= 400
            )
            assert httpx.get(f"{url}/help", timeout=PATIENCE, verify=TRUST).status_code == 200
        finally:
            running.should_exit = True
            thread.join(PATIENCE)
    assert "HTTP is spoken as uvicorn does" in caplog.text
