"""The demo's service and console, as processes that run as a user's do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from shroff.client import Client
from shroff.errors import ShroffError
from shroff.settings import PREFIX, Settings

_PATIENCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1


def start_service(
    settings: Settings, *words: str, port: int
) -> tuple[subprocess.Popen[bytes], str]:
    """Start `shroff serve`, and wait until it is ready; returns its URL too.

    Args:
        port: 0 takes a free one.
    """

    def ready(url: str) -> bool:
        with Client(url) as client:
            return client.ready()

    return _start(settings, "service", ["serve", *words], port, ready, {})


def start_console(
    settings: Settings, *, port: int, service: str, key: str
) -> tuple[subprocess.Popen[bytes], str]:
    """Start `shroff console`, which shows the latency of a service, and wait until it answers."""

    def ready(url: str) -> bool:
        try:
            return httpx.get(f"{url}/sign-in").status_code == 200
        except httpx.HTTPError:
            return False

    asked = {"SHROFF_SERVICE": service, "SHROFF_API_KEY": key}
    return _start(settings, "console", ["console"], port, ready, asked)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and wait for its end."""
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


def _start(
    settings: Settings,
    name: str,
    words: list[str],
    port: int,
    ready: Callable[[str], bool],
    more: Mapping[str, str],
) -> tuple[subprocess.Popen[bytes], str]:
    port = port or _free_port()
    # the demo's home and nothing else of this installation
    own = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    command = [sys.executable, "-m", "shroff", *words, "--port", str(port)]
    said = settings.home / f"{name}.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            command,
            env=own | {"SHROFF_HOME": str(settings.home)} | dict(more),
            stdout=log,
            stderr=log,
        )
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + _PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if ready(url):
            return process, url
        time.sleep(_LOOK_SECONDS)
    process.kill()
    process.wait()
    raise ShroffError(f"the {name} did not become ready; see {said}.")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
