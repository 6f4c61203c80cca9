"""Cores that are kept awake, where Linux lets the service ask for it."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest

from shroff.errors import ConfigurationError
from shroff.serve import awake
from shroff.serve.awake import cores_awake
from shroff.serve.server import Service, serve

DEVICE = Path("/dev/cpu_dma_latency")


def longest_wake_us() -> int:
    """What Linux keeps to now: the least of all requests, microseconds."""
    with DEVICE.open("rb", buffering=0) as file:
        (found,) = struct.unpack("i", file.read(4))
    return int(found)


def held(device: str | Path) -> bool:
    """Whether this process has a device open."""
    # the descriptor of the folder itself is gone once it was listed
    opened = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return Path(device) in opened


@pytest.mark.skipif(
    not os.access(DEVICE, os.R_OK | os.W_OK),
    reason="this user may not ask Linux to keep cores awake (/dev/cpu_dma_latency)",
)
def test_linux_is_asked_until_the_end() -> None:
    with cores_awake():
        assert longest_wake_us() == 0
        assert held(DEVICE)
    assert not held(DEVICE)


def test_nothing_is_asked_unless_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake, "_DEVICE", Path("/nowhere"))
    with cores_awake(False):
        pass


@pytest.mark.parametrize(
    ("device", "why"),
    [("/nowhere", "No such file or directory"), ("/dev/full", "No space left on device")],
)
def test_a_machine_that_does_not_take_it_is_told_of(
    device: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awake, "_DEVICE", Path(device))
    sentence = f"expected that {device} can be written for --awake, got {why}: give it"
    with pytest.raises(ConfigurationError, match=re.escape(sentence)), cores_awake():
        pass
    assert not held(device)


def test_a_service_does_not_start_without_what_it_asked_for(
    monkeypatch: pytest.MonkeyPatch, bundle_folder: Path
) -> None:
    monkeypatch.setattr(awake, "_DEVICE", Path("/nowhere"))
    with pytest.raises(ConfigurationError, match="/nowhere"):
        serve(Service(bundle=bundle_folder), port=0, awake=True)
