"""The process that has imported a module and forks, for `forks`; and what its children do.

python -W error tests/forking.py NAME MODULE        waits, until its standard input ends
"""

from __future__ import annotations

import array
import atexit
import gc
import json
import os
import selectors
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from runpy import run_module, run_path
from types import ModuleType
from typing import Final, NoReturn

Asked = tuple[list[str], str, dict[str, str], int]
"""Words of an interpreter, folder, variables and umask."""
_LONGEST: Final = 1 << 17
"""Bytes of a request."""
_IGNORED: Final = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that an interpreter without options does not show."""


class _Server:
    """Forks for whoever connects, and tells them how the child ended."""

    def __init__(self, name: str) -> None:
        self._lines: dict[int, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(f"\0{name}")
        self._listener.listen()
        self._ended, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno())
        self._selector = selectors.DefaultSelector()
        for source in (self._listener, self._ended, sys.stdin):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> Asked | None:
        """What was asked for, in each child; None where nobody will ask again."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    for child in self._lines:
                        os.kill(child, signal.SIGTERM)
                    return None
                if key.fileobj is self._ended:
                    self._ended.recv(1024)
                    self._tell()
                elif key.fileobj is self._listener:
                    if asked := self._fork(self._listener.accept()[0]):
                        return asked
                elif key.data in self._lines:
                    # whoever asked for the child is gone
                    self._selector.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGTERM)

    def close(self) -> None:
        """Close what it listens to."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for one in (self._listener, self._ended, self._wake, *self._lines.values()):
            one.close()

    def _tell(self) -> None:
        while self._lines:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            line = self._lines.pop(child)
            with suppress(KeyError):
                self._selector.unregister(line)
            with line, suppress(OSError):
                line.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _fork(self, line: socket.socket) -> Asked | None:
        sent, rights, _, _ = line.recvmsg(_LONGEST, socket.CMSG_LEN(3 * 4))
        files = array.array("i", rights[0][2])
        child = os.fork()
        if not child:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, file in enumerate(files):
                os.dup2(file, number)
            line.close()
            self.close()
        for file in files:
            os.close(file)
        if not child:
            asked: Asked = json.loads(sent)
            return asked
        line.send(str(child).encode())
        self._lines[child] = line
        self._selector.register(line, selectors.EVENT_READ, child)
        return None


def _become(asked: Asked, imported: Mapping[str, str]) -> None:
    """Run the program of an interpreter's words as that would; `imported` are variables that
    imports have set.
    """
    words, folder, variables, mask = asked
    os.umask(mask)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update({**variables, **imported})
    time.tzset()
    if words[:2] == ["-W", "error"]:
        del words[:2]
    else:
        _warn_as_usual()
    how, *rest = words
    sys.path[0] = {"-c": "", "-m": folder}.get(how, str(Path(how).parent))
    if how == "-m":
        sys.argv = rest
        run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.argv = ["-c", *rest[1:]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = words
        run_path(how, run_name="__main__")


def _warn_as_usual() -> None:
    """As an interpreter without options, but for what imports have said about warnings."""
    sys.warnoptions.clear()
    warnings.filters.remove(("error", None, Warning, None, 0))  # type: ignore[attr-defined]
    warnings.filterwarnings("default", category=DeprecationWarning, module="__main__", append=True)
    for category in _IGNORED:
        warnings.simplefilter("ignore", category, append=True)


def _serve(name: str, module: str) -> Asked | None:
    imported = import_module(module)
    gc.collect()
    gc.freeze()
    threads = len([*Path("/proc/self/task").iterdir()])
    assert threads == 1 or hasattr(imported, "THREADS"), (
        f"{module} starts threads: no fork has them"
    )
    server = _Server(name)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    asked = server.serve()
    if asked is None:
        server.close()
    return asked


def _end(code: object) -> NoReturn:
    """End as an interpreter does, but leave its modules: to take them apart would copy them all,
    which the process that forks has in memory too.
    """
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        with suppress(OSError):
            file.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _main() -> None:
    before = dict(os.environ)
    asked = _serve(*sys.argv[1:])
    if asked is None:
        os._exit(0)
    code: object = 0
    try:
        _become(asked, dict(os.environ.items() - before.items()))
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  # as an interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    _end(code)


if __name__ == "__main__":
    _main()
