"""How long cases take over HTTP with 10,000 of them open: milliseconds until the answer.

python -m benchmarks.cases [--cases 10000] [--requests 200] [--people 20]

Starts a service with a control database in SQLite, then in PostgreSQL, fills it with open cases,
and lists, shows, claims and decides them over loopback: one person alone, then twenty at once,
each of whom claims and decides without a pause. Times are those of the client, Python's own
`http.client` on the same machine. The last column is processor time of the service alone, which
does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from act.records import open_cases
from serve.fixtures import fitted_model, make_bundle
from servers import postgres, processor_seconds
from shroff.act.tables import CASE_PAYMENTS, CASES
from shroff.control import Keys
from shroff.control.database import Control
from shroff.package import save

PROGRAM = """
import sys
from pathlib import Path
from shroff.serve.server import Service, serve
from shroff.settings import Settings
bundle, home, control = sys.argv[1:]
settings = Settings(
    home=Path(home), control=control, ledger=f"sqlite:///{home}/ledger.db", personal_key="6b" * 32
)
serve(Service(bundle=bundle, settings=settings), port=0,
      listening=lambda url: print(url, flush=True))
"""
Times = dict[str, list[float]]
_OPENED = 100
"""Cases that are opened as a ledger does."""


class Person:
    """One connection with a key of its own, and how long each kind of request took (seconds)."""

    def __init__(self, url: str, key: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.times: Times = defaultdict(list)

    def ask(self, what: str, method: str, path: str, body: object = None) -> Any:
        """The JSON of an answer; the time counts under the name `what`."""
        content = None if body is None else json.dumps(body).encode()
        began = time.perf_counter()
        self._http.request(method, path, content, self._headers)
        answer = self._http.getresponse()
        read = answer.read()
        self.times[what].append(time.perf_counter() - began)
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {read.decode()}")
        return json.loads(read)

    def claim(self, _: int = 0) -> dict[str, Any]:
        """Claim the best case."""
        file = self.ask("next (claim the best)", "POST", "/v1/cases:next", {})["case"]
        found: dict[str, Any] = file["case"]
        return found

    def decide(self, case: dict[str, Any]) -> int:
        """Close a case that was claimed."""
        body = {"outcome": "genuine", "expected_version": case["version"]}
        self.ask("decide", "POST", f"/v1/cases/{case['id']}/decide", body)
        return int(case["id"])


def main() -> None:
    """Measure, print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--cases", type=int, default=10_000)
    asked.add_argument("--requests", type=int, default=200)
    asked.add_argument("--people", type=int, default=20)
    given = asked.parse_args()
    print("| control database | people | request | p50 ms | p99 ms | processor ms |")
    print("|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        measure("SQLite", f"sqlite:///{folder}/control.db", Path(folder), given)
    with TemporaryDirectory() as folder, postgres() as url:
        measure("PostgreSQL", url, Path(folder), given)


def measure(name: str, control: str, home: Path, given: argparse.Namespace) -> None:
    """Print the rows of one control database."""
    bundle, count = make_bundle(fitted_model()), given.requests
    save(bundle, home / "bundle")
    keys = [Keys(control).create(f"person {n}", ["review"]) for n in range(given.people + 1)]
    open_cases(control, bundle, min(given.cases, _OPENED))
    fill(control, given.cases)
    with running(home, control) as (url, server):
        alone, *people = [Person(url, key) for key in keys]
        pages = ("?limit=50", f"?limit=50&after={given.cases / 2}:1", "?limit=50&queue=review")
        kinds = {"list, first 50": pages[0], "list, from the middle": pages[1]}
        kinds |= {"list of a queue": pages[2], "show": "/17"}
        alone.ask("warm up", "GET", "/v1/cases")
        for what, end in kinds.items():
            with counted(name, 1, what, [alone], server):
                for _ in range(count):
                    alone.ask(what, "GET", f"/v1/cases{end}")
        with counted(name, 1, "next (claim the best)", [alone], server):
            claimed = [alone.claim() for _ in range(count)]
        with counted(name, 1, "decide", [alone], server):
            done = Counter(map(alone.decide, claimed))
        with (
            counted(name, given.people, "next and decide", people, server),
            ThreadPoolExecutor(given.people) as pool,
        ):
            shifts = pool.map(lambda one: shift(one, count // 10), people)
            done.update(number for own in shifts for number in own)
    if max(done.values()) > 1:
        raise RuntimeError("a case was decided twice")


def shift(person: Person, cases: int) -> list[int]:
    """Claim and decide so many cases, one after another."""
    return [person.decide(person.claim()) for _ in range(cases)]


def fill(control: str, cases: int) -> None:
    """Add open cases like the first, which takes seconds instead of minutes; their steps are not
    chained.
    """
    made = Control(control)
    with made.transaction("fill the cases") as connection:
        for table in (CASES, CASE_PAYMENTS):
            (row,) = connection.execute(table.select().limit(1)).mappings()
            connection.execute(
                table.insert(),
                [
                    dict(row) | _numbered(table is CASES, number)
                    for number in range(_OPENED + 1, cases + 1)
                ],
            )


def _numbered(is_case: bool, number: int) -> dict[str, object]:
    if is_case:
        return {"id": number, "subject": f"c{number}", "worth": float(number)}
    return {"payment_id": f"p{number}", "case": number}


@contextmanager
def counted(
    name: str, people: int, what: str, persons: list[Person], server: int
) -> Iterator[None]:
    """Print the row of what is asked meanwhile."""
    for one in persons:
        one.times.clear()
    began = processor_seconds(server)
    yield
    used = processor_seconds(server) - began
    seconds = np.array([each for one in persons for times in one.times.values() for each in times])
    p50, p99 = np.percentile(seconds * 1e3, [50, 99])
    spent = used / seconds.size * 1e3
    print(f"| {name} | {people} | {what} | {p50:.1f} | {p99:.1f} | {spent:.1f} |", flush=True)


@contextmanager
def running(home: Path, control: str) -> Iterator[tuple[str, int]]:
    """The URL and the process of a service."""
    command = [sys.executable, "-c", PROGRAM, str(home / "bundle"), str(home), control]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip(), server.pid
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
