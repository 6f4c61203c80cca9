"""A tour: the service and the console of the six months, with payments that keep coming."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from shroff.client import Client
from shroff.control import Keys
from shroff.demo.installation import USER, DemoInstallation
from shroff.demo.months import months_log
from shroff.demo.processes import start_console, start_service, stop
from shroff.demo.traffic import endless
from shroff.errors import ShroffError

_PAUSE_SECONDS: Final = 2.0
_LAST_ROWS: Final = 2_000
"""The payments that come again are of the last weeks."""


class DemoTour(NamedTuple):
    """What runs: addresses, who may sign in, and a key of the service."""

    service: str
    console: str
    user: str
    password: str
    key: str
    installation: DemoInstallation
    processes: tuple[subprocess.Popen[bytes], ...]

    def stroll(self) -> None:
        """Send payments, one every two seconds, until the service or the console ends."""
        coming = endless(months_log(self.installation.months)[-_LAST_ROWS:])
        with Client(self.service, key=self.key) as client:
            while all(one.poll() is None for one in self.processes):
                try:
                    client.decide(next(coming))
                except ShroffError:
                    break
                time.sleep(_PAUSE_SECONDS)


@contextmanager
def tour(installation: DemoInstallation, *, port: int, console_port: int) -> Iterator[DemoTour]:
    """Service and console over the months, until the block ends.

    Args:
        port: of the service, `console_port` of the console; 0 takes a free one.
    """
    settings = installation.settings
    key = Keys(settings.control).create(f"demo {time.time_ns()}", ["decide", "label", "read"])
    service, url = start_service(settings, "--lateness", "3d", port=port)
    try:
        console, address = start_console(settings, port=console_port, service=url, key=key)
        try:
            yield DemoTour(
                service=url,
                console=address,
                user=USER,
                password=installation.password,
                key=key,
                installation=installation,
                processes=(service, console),
            )
        finally:
            stop(console)
    finally:
        stop(service)
