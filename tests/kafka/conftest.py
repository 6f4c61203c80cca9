"""Topics of a real broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kafka.bus import Bus, Consuming


@pytest.fixture
def bus(kafka_server: str) -> Bus:
    return Bus(kafka_server)


@pytest.fixture
def consuming(bundle_folder: Path, tmp_path: Path, bus: Bus) -> Callable[..., Consuming]:
    """Makes `shroff consume`, each time over the same ledger unless told otherwise."""

    def make(
        *arguments: str,
        home: str = "home",
        address: str = "",
        ledger: str = "",
        state: str = "memory",
        published: bool = False,
    ) -> Consuming:
        bundle = None if published else bundle_folder
        words = ("--group", bus.group, *arguments, "--json")
        return Consuming(bundle, tmp_path / home, address or bus.address, words, ledger, state)

    return make
