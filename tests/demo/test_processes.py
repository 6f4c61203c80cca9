"""What the demo starts is waited for as long as it gets on, and what ended is said to have."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from typer.testing import CliRunner

import shroff.demo
from shroff.cli import app
from shroff.demo import processes
from shroff.errors import ShroffError
from shroff.settings import Settings


@pytest.fixture
def starting() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands still until it is killed."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_slow_start_is_waited_for_and_one_that_stands_still_is_not(
    starting: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(processes, "_LOOK_SECONDS", 0.0)
    looks = count()
    with monkeypatch.context() as busy:
        busy.setattr(processes, "processor_time", lambda process: float(next(looks)))
        assert processes.is_ready(starting, lambda: next(looks) > 500)
    assert processes.processor_time(starting.pid) == processes.processor_time(starting.pid)
    assert not processes.is_ready(starting, lambda: False)


def test_what_did_not_start_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_nothing(*_: object, **__: object) -> NoReturn:
        processes.start_service(Settings(home=tmp_path), port=1)
        raise AssertionError

    walked = SimpleNamespace(parts=(), curl=lambda port: "curl", stop=lambda: None)
    monkeypatch.setattr("sys.executable", "false")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(shroff.demo, "run_demo", lambda *_, **__: walked)
    monkeypatch.setattr(shroff.demo, "open_months", lambda *_, **__: None)
    monkeypatch.setattr(shroff.demo, "tour", start_nothing)
    folder = tmp_path / "my demo"
    error = CliRunner().invoke(app, ["demo", "--keep", "--folder", str(folder)]).exception
    assert isinstance(error, ShroffError)
    assert f"the service ended with status 1 before it was ready; see {tmp_path}" in str(error)
    assert f"`shroff console --demo --folder '{folder / 'months'}'` shows them." in str(error)
