"""`shroff serve` as a process, to be killed and started again on the same port."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.error import URLError
from urllib.request import urlopen

from serve.service import KEY
from servers import free_port

_PATIENCE: Final = 60.0


@dataclass
class Service:
    """A service over a bundle (None: over what is published in `home`); started on entry, ended on
    exit.
    """

    bundle: Path | None
    home: Path
    ledger: str = ""
    state: str = "memory"
    workers: int = 1
    warm: Path | None = None
    keys: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.ledger = self.ledger or f"sqlite:///{self.home / 'ledger.db'}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def log(self) -> str:
        """What it wrote."""
        path = self.home / "service.log"
        return path.read_text() if path.exists() else ""

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            RuntimeError: it does not become ready.
        """
        self.launch()
        deadline = time.monotonic() + _PATIENCE
        # any worker may answer
        while not all(self.ready() for _ in range(1 if self.workers == 1 else 4 * self.workers)):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"the service is not ready:\n{self.log[-2000:]}")
            time.sleep(0.05)

    def launch(self) -> None:
        """Start it."""
        command = [
            sys.executable,
            "-m",
            "shroff",
            "serve",
            *([] if self.bundle is None else [str(self.bundle)]),
        ]
        command += ["--port", str(self.port), "--workers", str(self.workers)]
        command += [] if self.keys else ["--without-keys"]
        command += [] if self.warm is None else ["--warm", str(self.warm)]
        settings = {
            "HOME": str(self.home),
            "LEDGER": self.ledger,
            "STATE": self.state,
            "PERSONAL_KEY": KEY.hex(),
        }
        environment = {f"SHROFF_{name}": value for name, value in settings.items()} | dict(
            self.environment
        )
        with (self.home / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | environment,
                start_new_session=True,
            )
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (most, most))

    def ready(self) -> bool:
        """Whether all is well."""
        with (
            suppress(URLError, OSError, HTTPException),
            urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5) as answer,
        ):
            return bool(answer.status == 200)
        return False

    def refused(self) -> str:
        """Launch it where it must not start, and what it says of that.

        Raises:
            RuntimeError: it starts, or ends in another way than exit code 2.
        """
        before = len(self.log)
        self.launch()
        deadline = time.monotonic() + _PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline and not self.ready():
            time.sleep(0.05)
        code = self.process.poll()
        if code != 2:
            self.end()
            raise RuntimeError(f"it starts all the same (exit code {code}), and nothing is noticed")
        return self.log[before:].strip().rpartition("\n")[2]

    def kill(self) -> None:
        """End all of its processes as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Tell it to end, and see that it does."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
