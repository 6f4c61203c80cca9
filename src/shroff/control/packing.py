"""A stored table packed by a process of its own.

To read and check half a million rows takes seconds and hundreds of megabytes. Another process takes
them, behind all others where the processor or memory is short. One file is between both: the task
goes in, and the packed table or the reason why there is none comes out. It has no name and is in
memory alone: nobody else can reach it, no disk can be full, and one that is killed leaves nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from time import monotonic
from typing import IO, Final, Literal

import msgspec

from shroff.control.replacements import Latest
from shroff.errors import ControlUnavailable, one_line

MAX_SECONDS: Final = 300
"""Seconds that a table may take, on a machine that is busy with other things."""
REFUSED: Final = 3
"""The exit code of a process that says why it packed nothing."""
Kind = Literal["rates", "tables"]
_MAX_REASON_BYTES: Final = 2_000


class Task(msgspec.Struct, frozen=True):
    """What is to be packed: of the control database at a URL, a replacement of a kind."""

    url: str
    kind: Kind
    one: Latest


class Packing:
    """A process that packs a stored table.

    Raises:
        ControlUnavailable: it cannot be started.
    """

    def __init__(self, task: Task) -> None:
        self._what = f"the reference table `{task.one.name}`" if task.one.name else "the rates"
        self._deadline = monotonic() + MAX_SECONDS
        try:
            self._file = _nameless()
            self._process = _started(self._file, task)
        except OSError as error:
            raise self._failure(f"no process can be started ({error.strerror})") from None

    @property
    def done(self) -> bool:
        """Whether it has ended, or takes too long."""
        return self._process.poll() is not None or monotonic() > self._deadline

    def result(self) -> mmap:
        """What it packed, in the memory of this process; waits until it is done.

        Raises:
            ControlUnavailable: it packed nothing, and why.
        """
        with self._file as file:
            try:
                code = self._process.wait(max(self._deadline - monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise self._failure(f"it takes more than {MAX_SECONDS} seconds") from None
            if code == 0:
                return mmap(file.fileno(), 0, access=ACCESS_READ)
            file.seek(0)
            said = one_line(file.read(_MAX_REASON_BYTES).decode(errors="replace"))
        raise self._failure(
            said.rstrip(".")
            if code == REFUSED
            else f"the process that reads it ended with code {code}, as one does that is killed or "
            "needs more memory than there is"
        )

    def _failure(self, why: str) -> ControlUnavailable:
        return ControlUnavailable(
            f"cannot take up {self._what} that was put in place: {why}; the one before stays."
        )


def _started(file: IO[bytes], task: Task) -> subprocess.Popen[bytes]:
    try:
        file.write(msgspec.json.encode(task))
        file.flush()
        return subprocess.Popen(
            # -P: no module of the folder that the service was started in
            [sys.executable, "-P", "-m", "shroff.control.packing_run", str(file.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[file.fileno()],
        )
    except OSError:
        file.close()
        raise


def _nameless() -> IO[bytes]:
    """A file without a name: in memory, where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("shroff-table"), "w+b")
    return TemporaryFile()
