"""The process in which a model is tried, started before the model is known: its imports, a third of
a second, go on beside those of a service.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import Final

# -P: modules in the folder where we run must not be imported
_COMMAND: Final = (sys.executable, "-P", "-m", __package__)
_waiting: list[subprocess.Popen[bytes]] = []


def begin() -> None:
    """Start a process for the next trial; without one, it ends when this process does.

    Where it cannot be started, `take` says why.
    """
    with suppress(OSError):
        _waiting.append(_started())


def take() -> subprocess.Popen[bytes]:
    """The process that waits for a trial, or a new one.

    Raises:
        OSError: it cannot be started.
    """
    return _waiting.pop() if _waiting else _started()


def _started() -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, stderr=pipe)
