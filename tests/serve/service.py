"""A service in a process of its own, over loopback, with a ledger on disk."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from forks import Process, start
from patience import PATIENCE, until
from shroff.package.trial import passed
from web import TRUST

KEY = b"k" * 32
IMPORTED = "serve.imports"
"""What a process that serves finds imported."""
needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None, reason="the example is a command of curl, which is missing"
)
PROGRAM = """
import json
import sys
from pathlib import Path
from shroff.lazy import without_collection
with without_collection():
    from shroff.kafka.figures import without_topics
    from shroff.package.trial import PassedTrial, trust
    from shroff.serve.server import Service, serve
    from shroff.settings import Settings
bundle, home, warm, keys, passed = sys.argv[1:]
verdicts = json.loads(Path(passed).read_text())
trust({bytes.fromhex(model): PassedTrial(*verdict) for model, verdict in verdicts.items()})
settings = Settings(home=Path(home), ledger=f"sqlite:///{home}/ledger.db", personal_key=KEY)
tell = lambda url: print(url, flush=True)
figures = (without_topics,)
service = Service(
    bundle=bundle or None, warm=warm or None, settings=settings, keys=bool(keys), figures=figures
)
serve(service, port=0, listening=tell)
""".replace("KEY", repr(KEY.hex()))


@dataclass
class Service:
    """Starts on entry, is told to stop on exit; `ready` is the status that `/health/ready` comes
    to.
    """

    bundle: Path | None
    home: Path
    warm: Path | None = None
    keys: bool = False
    ready: int = 200
    environment: Mapping[str, str] = field(default_factory=dict)
    url: str = field(init=False, default="")
    process: Process = field(init=False)

    def __enter__(self) -> Service:
        arguments = [
            str(self.bundle or ""),
            str(self.home),
            str(self.warm or ""),
            "keys" if self.keys else "",
            str(self.home / "passed.json"),
        ]
        self.home.mkdir(exist_ok=True)
        # what was tried in this process need not be tried again
        verdicts = {model.hex(): verdict for model, verdict in passed().items()}
        (self.home / "passed.json").touch(0o600)
        (self.home / "passed.json").write_text(json.dumps(verdicts))
        command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
        with self.log.open("a") as log:
            environment = os.environ | dict(self.environment)
            self.process = start(command, IMPORTED, stderr=log, env=environment)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        try:
            assert self.url, self.log.read_text()
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_ready(self) -> None:
        until(
            lambda: self.request("GET", "/health/ready").status_code == self.ready,
            said=self.log.read_text,
        )

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def log(self) -> Path:
        return self.home / "service.log"

    @property
    def ledger(self) -> str:
        return f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        return url.host, url.port or 80

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, timeout=PATIENCE, verify=TRUST, **options)

    def raw(self, sent: bytes) -> bytes:
        """What comes back for bytes as they are, until the service closes the connection."""
        with socket.create_connection(self.address, timeout=PATIENCE) as connection:
            connection.sendall(sent)
            return b"".join(iter(lambda: connection.recv(65536), b""))
