"""Keeps the machine's cores awake: one that sleeps between payments wakes late for the next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shroff.errors import ConfigurationError

_DEVICE: Final = Path("/dev/cpu_dma_latency")
_NO_LATENCY: Final = bytes(4)
"""Zero microseconds, as a whole number of 32 bits."""


@contextmanager
def cores_awake(wanted: bool = True) -> Iterator[None]:
    """Ask Linux that no core sleeps until the end: PM QoS, `pm_qos_interface` in its documentation.

    Raises:
        ConfigurationError: Linux takes no such request here.
    """
    if not wanted:
        yield
        return
    try:
        # the request holds as long as the file is open
        held = os.open(_DEVICE, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(held, _NO_LATENCY)
        except OSError:
            os.close(held)
            raise
    except OSError as error:
        raise ConfigurationError(
            f"expected that {_DEVICE} can be written for --awake, got {error.strerror}: give it to "
            "the service (it is root's; a container needs it as a device), or leave the option out."
        ) from None
    try:
        yield
    finally:
        os.close(held)
