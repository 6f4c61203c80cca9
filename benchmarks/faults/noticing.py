"""What whoever runs a service is told while something happens to it: by its health check, its log,
its exit code.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.client import HTTPException
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import HTTPError
from urllib.request import urlopen

from benchmarks.faults.service import Service

_PAUSE: Final = 0.2
_LOGGED: Final = re.compile(r" (?:warning|error): ")
_TOLD: Final = ("degraded", "notice")


class Noticing:
    """Looks at a service's health again and again from entry to exit, and at its log then."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before: set[str] = set()
        self._found: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._before = set(self._health())
        self._read = len(self._service.log)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        log = self._service.log[self._read :]
        if _LOGGED.search(log):
            self._found.add("log")
        if "shroff: " in log:
            self._found.add("exit code")

    def said(self) -> str:
        """By what it was noticed."""
        return ", ".join(sorted(self._found - self._before))

    def _look(self) -> None:
        while not self._done.wait(_PAUSE):
            self._found.update(self._health())

    def _health(self) -> Iterator[str]:
        try:
            with urlopen(
                f"http://127.0.0.1:{self._service.port}/health/ready", timeout=2
            ) as answer:
                told: dict[str, Any] = json.load(answer)
        except HTTPError as error:
            yield f"health {error.code}"
        except (OSError, ValueError, HTTPException):
            # nobody listens: whoever watches it sees that, but that is no notice
            return
        else:
            yield from (f"health: {name}" for name in _TOLD if told.get(name))
