"""The demo's service and console, as processes that run as a user's do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx

from shroff.client import Client
from shroff.errors import ShroffError
from shroff.settings import PREFIX, Settings

_PATIENCE_SECONDS: Final = 60.0
"""How long a process that starts may stand still."""
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
    url = f"http://127.0.0.1:{port}"
    try:
        if is_ready(process, lambda: ready(url)):
            return process, url
    except BaseException:
        process.kill()
        raise
    ended = process.poll()
    process.kill()
    process.wait()
    how = "stood still for a minute" if ended is None else f"ended with status {ended}"
    raise ShroffError(f"the {name} {how} before it was ready; see {said}.")


def is_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> bool:
    """Wait for a process that starts, however slow the machine is; False once it has ended, or has
    used no processor for a minute.
    """
    used, deadline = -1.0, 0.0
    while process.poll() is None:
        if ready():
            return True
        if (now := processor_time(process.pid)) != used:
            used, deadline = now, time.monotonic() + _PATIENCE_SECONDS
        elif time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return False


def processor_time(process: int) -> float:
    """What a process has used of the processor, in ticks; where that is not known, the time, as if
    it were always at work.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return float(fields[11]) + float(fields[12])
    except (OSError, IndexError):
        return time.monotonic()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
