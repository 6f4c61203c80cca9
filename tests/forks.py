"""Processes whose imports are done when they begin: real ones, which can be killed.

A process that has imported a module, and does nothing else, waits at a socket. Whoever wants a
process sends it the words of an interpreter, a folder, variables, a umask and open files. It forks,
and the child becomes that interpreter: it runs the program, prints and ends as that would.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Final
from uuid import uuid4

FORKS: Final = sys.platform == "linux"
"""Elsewhere libraries of the system may not outlive a fork."""
FORKING: Final = Path(__file__).with_name("forking.py")


class Waiting:
    """A process that has imported a module, until it is closed."""

    def __init__(self, module: str) -> None:
        name = f"shroff-{module}-{uuid4().hex}"
        # begins with 0: a name without a file
        self.socket = f"\0{name}"
        # an interpreter's threads do not outlive a fork
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(FORKING), name, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the process that imports has ended"

    def close(self) -> None:
        self._process.communicate()


@cache
def waiting(module: str) -> Waiting:
    """The process of this session that has imported a module."""
    one = Waiting(module)
    atexit.register(one.close)
    return one


class Forked:
    """What `subprocess.Popen` is, for a command that begins with `sys.executable`.

    `module` is imported when it begins. What it prints is read from `stdout`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        module: str,
        stderr: IO[Any],
        env: Mapping[str, str],
        cwd: Path | None = None,
    ) -> None:
        self.args = command
        self.returncode: int | None = None
        mask = os.umask(0)
        os.umask(mask)
        asked = ([*command[1:]], str(cwd or Path.cwd()), dict(env), mask)
        read, write = os.pipe()
        self.stdout = open(read, encoding="utf-8")  # noqa: SIM115, PTH123  # its reader closes it
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(waiting(module).socket)
        with Path(os.devnull).open("rb") as nothing, open(write, "wb") as output:  # noqa: PTH123
            files = array.array("i", [nothing.fileno(), output.fileno(), stderr.fileno()])
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, files)
            self._line.sendmsg([json.dumps(asked).encode()], [rights])
            self.pid = int(self._line.recv(16))

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; of a signal that ended it the negative number."""
        if self.returncode is None:
            self._line.settimeout(timeout)
            try:
                said = self._line.recv(16)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
            assert said, "the process that forks has ended"
            self._line.close()
            self.returncode = int(said)
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        self.wait(timeout)
        if self.stdout.closed:
            return "", None
        with self.stdout:
            return self.stdout.read(), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            # one that has ended since is waited for by the process that forked it
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


_PROGRAM: Final = """#!{python} -IS
import array, json, os, signal, socket, sys
mask = os.umask(0)
os.umask(mask)
words = ["-m", "shroff", *sys.argv[1:]]
asked = json.dumps([words, os.getcwd(), dict(os.environ), mask]).encode()
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
    line.connect({socket!r})
    files = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    line.sendmsg([asked], [files])
    command = int(line.recv(16))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(command, signal.SIGTERM))
    sys.exit(int(line.recv(16)))
"""


def program(folder: Path, module: str) -> Path:
    """A folder with a program `shroff` whose imports are done, for the front of PATH; an empty one
    where processes are not forked.
    """
    folder.mkdir()
    if FORKS:
        file = folder / "shroff"
        text = _PROGRAM.format(python=sys.executable, socket=waiting(module).socket)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)
    return folder


Process = Forked | subprocess.Popen[str]


def start(
    command: Sequence[str],
    module: str,
    *,
    stderr: IO[Any],
    env: Mapping[str, str],
    cwd: Path | None = None,
) -> Process:
    """A process of a command that begins with `sys.executable`; `stdout` has what it prints.

    Where processes are forked, its imports are done: `module` is imported when it begins.
    """
    if FORKS:
        return Forked(command, module=module, stderr=stderr, env=env, cwd=cwd)
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env, cwd=cwd
    )
