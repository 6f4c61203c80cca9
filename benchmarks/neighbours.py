"""Send a service the costliest bodies and files we know, and measure what each costs a neighbour
and the process.

    python -m benchmarks.neighbours
    python -m benchmarks.neighbours --only csv

A neighbour asks `/health/live` without a pause on a connection of its own; the stall is the longest
that it waited for an answer. Memory is by how much the resident size of the service rose to its
highest, without the pages of files that it maps. Both are the best of several tries, because
whatever else the machine does counts as well; the first line is a neighbour with nobody beside it.
Exit code 1 where a case costs more than 50 ms or 16 MiB.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.neighbours_cases import CASES, Case
from benchmarks.neighbours_files import MAX_ROWS, TABLE, File, files
from serve.fixtures import SCHEMA, VELOCITY, fitted_model, make_bundle
from serve.service import Service
from shroff import Rates, lookup
from shroff.control import Keys
from shroff.control.keys import SCOPES
from shroff.package import save

_IDLE: Final = 0.5
"""Seconds for which a neighbour with nobody beside it asks."""
_PATIENCE: Final = 120.0
MAX_STALL_SECONDS: Final = 0.05
MAX_MIB: Final = 16.0


@dataclass(frozen=True)
class Cost:
    """What a case cost: seconds that a neighbour waited at most, MiB, seconds until its own answer,
    its status.
    """

    stall: float
    mib: float
    took: float
    status: int


class Neighbour:
    """Asks a service whether it lives, again and again, and remembers the longest that it
    waited.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._over = threading.Event()
        self.worst = 0.0
        self.asked = 0
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        with socket.create_connection(self._address, timeout=_PATIENCE) as connection:
            while not self._over.is_set():
                began = time.perf_counter()
                connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
                connection.recv(65_536)
                self.worst = max(self.worst, time.perf_counter() - began)
                self.asked += 1


def idle(service: Service) -> float:
    """Seconds that a neighbour waits at most with nobody beside it."""
    with Neighbour(service.address) as neighbour:
        time.sleep(_IDLE)
    return neighbour.worst


def measure(service: Service, token: str, case: Case | File) -> Cost:
    """Send a body, or put a file in place, once."""
    act = (
        partial(_sent, service.address, token, case, case.body())
        if isinstance(case, Case)
        else partial(case.put, service, token)
    )
    _forget_peak(service)
    before, mapped = _resident(service, "VmRSS"), _resident(service, "RssShmem")
    with Neighbour(service.address) as neighbour:
        while not neighbour.asked:
            time.sleep(0.001)
        began = time.perf_counter()
        status = act()
        took = time.perf_counter() - began
    grown = _resident(service, "VmHWM") - before - (_resident(service, "RssShmem") - mapped)
    return Cost(neighbour.worst, grown / 1024, took, status)


def best(
    service: Service, token: str, case: Case | File, *, tries: int, enough: Callable[[Cost], bool]
) -> Cost:
    """The least that a body or file cost, of so many tries, or until it cost little enough."""
    costs: list[Cost] = []
    for _ in range(tries):
        costs.append(measure(service, token, case))
        if enough(costs[-1]):
            return costs[-1]
    return Cost(
        min(one.stall for one in costs),
        min(one.mib for one in costs),
        min(one.took for one in costs),
        costs[-1].status,
    )


def _sent(address: tuple[str, int], token: str, case: Case, body: bytes) -> int:
    """The status of the answer, which is read to its end; a service may answer before it has the
    whole body.
    """
    headers = {
        "host": "x",
        "authorization": f"Bearer {token}",
        "content-type": case.media,
        "connection": "close",
    }
    headers |= {"content-length": str(len(body))} if "transfer-encoding" not in case.headers else {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers | case.headers).items())
    with socket.create_connection(address, timeout=_PATIENCE) as connection:
        sender = threading.Thread(target=_send, args=(connection, body), daemon=True)
        connection.sendall(f"POST {case.path} HTTP/1.1\r\n{lines}\r\n".encode())
        sender.start()
        answer = b""
        try:
            while piece := connection.recv(1 << 20):
                answer = answer or piece
        except ConnectionError:
            pass
        sender.join()
    return int(answer[9:12] or b"0")


def _send(connection: socket.socket, body: bytes) -> None:
    try:
        connection.sendall(body)
    except OSError:
        return  # it was answered before its end


def _resident(service: Service, what: str) -> int:
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def _forget_peak(service: Service) -> None:
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")


@contextmanager
def asked(home: Path) -> Iterator[tuple[Service, str]]:
    """A service with lists, exchange rates and a reference table, whose payments may have a note,
    and a key of all scopes.
    """
    schema = msgspec.structs.replace(
        SCHEMA,
        rates=Rates.constant("EUR", {"JPY": "0.00625"}),
        tables=(TABLE,),
        lookups=(lookup("risk", on="card_id"),),
        ignored=("note",),
    ).with_keys(VELOCITY.key_columns)
    save(make_bundle(fitted_model(), schema=schema, currency="EUR"), home / "bundle")
    token = Keys(f"sqlite:///{home / 'control.db'}").create("neighbour", SCOPES)
    with Service(home / "bundle", home, keys=True) as service:
        yield service, token


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="cases whose name has this text")
    parser.add_argument("--tries", type=int, default=5)
    options = parser.parse_args()
    table = Table("input", "body KiB", "answered", "answer ms", "stall ms", "MiB")
    costly = 0
    with (
        TemporaryDirectory(prefix="shroff-neighbours-") as folder,
        asked(Path(folder)) as (service, token),
    ):
        table.add_row("nobody", "", "", "", f"{1e3 * idle(service):.0f}", "")
        cases: list[Case | File] = [*CASES, *files(MAX_ROWS)]
        for case in cases:
            if options.only in case.name:
                cost = best(service, token, case, tries=options.tries, enough=lambda _: False)
                size = f"{len(case.body()) / 1024:,.0f}" if isinstance(case, Case) else "a file"
                told = [f"{1e3 * cost.took:,.0f}", f"{1e3 * cost.stall:,.0f}", f"{cost.mib:.1f}"]
                costly += cost.stall > MAX_STALL_SECONDS or cost.mib > MAX_MIB
                table.add_row(case.name, size, str(cost.status), *told)
    Console().print(table)
    return int(costly > 0)


if __name__ == "__main__":
    sys.exit(main())
