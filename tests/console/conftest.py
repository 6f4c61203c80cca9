"""One console, as a process, over one small seeded installation, for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console.seed import SEEDS
from console.site import ConsoleSite, running
from shroff.settings import Settings


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleSite]:
    """The running console; `console.visit("analyst")` is a browser without script, signed in."""
    settings = Settings(home=tmp_path_factory.mktemp("console"))
    for seed in SEEDS:
        seed(settings)
    with running(settings) as running_console:
        yield running_console
        assert running_console.log.read_text() == ""
