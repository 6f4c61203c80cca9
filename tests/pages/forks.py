"""`shroff` in processes that begin with everything imported: for scripts that call it many times.

A process that has only imported waits at a socket. The program `shroff` that scripts find first is
a few lines which hand it their arguments, folder, variables and open files; it forks, and the child
runs the command as `shroff` does. What a command then does, prints and exits with is its own; what
it imported besides is imported for those that come after it.

    python -m pages.forks SOCKET        waits, until its standard input ends
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

LIBRARIES: Final = (
    "shroff.cli",
    "polars",
    "numba",
    "scipy.stats",
    "sklearn.linear_model",
    "sklearn.svm",
    "lightgbm",
    "onnx",
    "onnxruntime",
    "sqlalchemy",
    "sqlglot",
    "deltalake",
    "httpx",
)
LEARNED: Final = ("shroff.", "cffi", "numba.", "pycparser", "pydantic", "rich.", "sqlalchemy.")
"""How modules begin that are imported for later commands once a command has imported them."""
THREADED: Final = ("keras", "mlflow", "pyspark", "shroff.simulate", "tensorflow")
"""A command that imported one of these is not learned from: they start threads, and a process with
threads cannot be forked.
"""
_PROGRAM: Final = """#!{python} -IS
import array, json, os, socket, sys
asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as line:
    line.connect({socket!r})
    files = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    line.sendmsg([len(asked).to_bytes(4, "big")], [files])
    line.sendall(asked)
    sys.exit(int(line.recv(8) or b"70"))
"""


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[Path]:
    """A folder with the program `shroff`, for the front of PATH."""
    place = folder / "socket"
    programs = folder / "programs"
    programs.mkdir()
    program = programs / "shroff"
    program.write_text(_PROGRAM.format(python=sys.executable, socket=str(place)), encoding="utf-8")
    program.chmod(0o755)
    command = [sys.executable, "-m", "pages.forks", str(place)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            assert server.stdout.readline() == "ready\n", "the process that imports did not start"
            yield programs
        finally:
            server.stdin.close()


def _serve(place: str) -> None:
    for library in LIBRARIES:
        import_module(library)
    _compile()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        # whoever started this is gone when its end of the pipe is closed
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        known = Path(f"{place}.modules")
        while True:
            line, _ = listener.accept()
            _learn(known)
            # a first fork answers for a second, so that this one goes on accepting
            if not os.fork():
                _answer(line, known)
            line.close()


def _compile() -> None:
    """Start Numba and compile the formulas of features, which takes a command as long as its
    imports.
    """
    for recipe in import_module("shroff.features.aggregates").RECIPES.values():
        import_module("shroff.features.engines.batch.partition").compiled(recipe)


def _learn(known: Path) -> None:
    """Import what commands have imported so far."""
    if known.exists():
        for name in known.read_text(encoding="utf-8").split():
            before = _threads()
            import_module(name)
            assert _threads() == before, f"{name} starts threads: add it to THREADED"
        known.unlink()


def _threads() -> int:
    """How many threads this process has, where the system says so."""
    tasks = Path("/proc/self/task")
    return len([*tasks.iterdir()]) if tasks.is_dir() else 0


def _answer(line: socket.socket, known: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files = _received(line)
    asked = b""
    while len(asked) < size:
        asked += line.recv(size - len(asked))
    arguments, folder, variables = json.loads(asked)
    child = os.fork()
    if not child:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        sys.path[:0] = filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))
        sys.argv = arguments
        # so that usage names the program, not this module
        sys.modules["__main__"].__package__ = None
        before = {*sys.modules}
        code = _code()
        new = {*sys.modules} - before
        if not new.intersection(THREADED):
            with known.open("a", encoding="utf-8") as learned:
                learned.write("".join(f"{name}\n" for name in new if name.startswith(LEARNED)))
        os._exit(code)
    threading.Thread(target=_end_with, args=(line, child), daemon=True).start()
    _, status = os.waitpid(child, 0)
    line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _end_with(line: socket.socket, child: int) -> None:
    """End the command when whoever called it is gone."""
    line.recv(1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGTERM)


def _received(line: socket.socket) -> tuple[int, list[int]]:
    files = array.array("i")
    head, rest, _, _ = line.recvmsg(4, socket.CMSG_LEN(3 * files.itemsize))
    files.frombytes(rest[0][2])
    return int.from_bytes(head, "big"), list(files)


def _code() -> int:
    """Run the command; its exit code."""
    main = import_module("shroff.cli").main
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    _serve(sys.argv[1])
