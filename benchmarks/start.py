"""How long the program takes to start: help, and a service without history until it is ready.

    python -m benchmarks.start

Beside them what nobody can be faster than: an interpreter that does nothing, and one that imports
the libraries that a service works with and nothing of ours. Each is started in a process of its
own; the least of `--repeat` starts counts, by the clock and by processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter, sleep
from typing import NamedTuple
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from serve.fixtures import fitted_model, make_bundle
from servers import processor_seconds
from shroff.package import save

LIBRARIES = "numpy, onnxruntime, sqlalchemy.dialects.sqlite, sqlglot, typer, uvicorn, uvloop"
_LOOK_SECONDS = 0.002
# as installed: bytecode is kept, here by the first start, which is not the least
_ENVIRONMENT = {name: value for name, value in os.environ.items() if "DONTWRITE" not in name}


class Start(NamedTuple):
    """What a start took."""

    seconds: float
    processor: float


def ended(words: Sequence[str]) -> Start:
    """A process from its start to its end."""
    begun = perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return Start(perf_counter() - begun, used.ru_utime + used.ru_stime)


def ready(bundle: Path) -> Start:
    """A service, from its start until `/health/ready` says so."""
    begun = perf_counter()
    words = (*shroff("serve", str(bundle)), "--port", "0", "--without-keys", "--json")
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT | {"SHROFF_HOME": home},
        ) as process,
    ):
        assert process.stdout is not None
        said = b"".join(iter(process.stdout.readline, b"}\n")) + b"}"
        while True:
            with suppress(OSError), urlopen(json.loads(said)["ready"]):
                break
            sleep(_LOOK_SECONDS)
        found = Start(perf_counter() - begun, processor_seconds(process.pid))
        process.terminate()
    return found


def shroff(*words: str) -> tuple[str, ...]:
    """The program with these words."""
    return sys.executable, "-m", "shroff", *words


def least(start: Callable[[], Start], repeat: int) -> Start:
    """The least of each figure over several starts."""
    found = [start() for _ in range(repeat)]
    return Start(min(one.seconds for one in found), min(one.processor for one in found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=10)
    repeat = parser.parse_args().repeat
    table = Table("start", "seconds", "processor seconds")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        save(make_bundle(fitted_model()), bundle)
        starts: dict[str, Callable[[], Start]] = {
            "python -c pass": lambda: ended((sys.executable, "-c", "pass")),
            "shroff --help": lambda: ended(shroff("--help")),
            "the libraries of a service": lambda: ended(
                (sys.executable, "-c", f"import {LIBRARIES}")
            ),
            "shroff serve, to ready": lambda: ready(bundle),
        }
        for name, start in starts.items():
            one = least(start, repeat)
            table.add_row(name, f"{one.seconds:.2f}", f"{one.processor:.2f}")
    Console(width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == "__main__":
    main()
