"""How long the console's pages take with 10,000 open cases and a month of a million payments.

    python -m benchmarks.console_payments [--payments N] [--cases N] [--views N]

Fills a ledger in SQLite as a service does, without deciding; follows it into an index, which says
how long that takes and how much memory; opens cases; starts `shroff console` and asks for each page
over one connection. Times are those of the client, on the same machine. Then it looks at pages so
many times, and says how much memory the console has before and after.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import numpy as np

from act.records import open_cases
from benchmarks.cases import fill
from serve.fixtures import SCHEMA, VELOCITY, fitted_model, make_bundle
from shroff.control.models import Models
from shroff.control.sessions import Sessions
from shroff.control.users import Users
from shroff.index import IndexFile, IndexFollower, keys_of
from shroff.ledger import Entry, Ledger
from shroff.package import Bundle, save
from shroff.settings import Settings

_DAY_US = 86_400_000_000
_DAYS = 30
_TOGETHER = 2_000
_ACTIONS = ("approve", "approve", "approve", "approve", "approve", "review", "decline")
_OPENED = 100


def main() -> None:
    """Fill, measure, print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--payments", type=int, default=1_000_000)
    asked.add_argument("--cases", type=int, default=10_000)
    asked.add_argument("--views", type=int, default=10_000)
    asked.add_argument("--requests", type=int, default=100)
    given = asked.parse_args()
    with TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        bundle = published(settings)
        write_month(settings, bundle, given.payments)
        follow(settings, bundle)
        open_cases(settings.control, bundle, min(given.cases, _OPENED))
        fill(settings.control, given.cases)
        user = Users(settings.control).add("ada", "admin")
        token = Sessions(settings.control).begin(user)
        measure(settings, token, given)


def published(settings: Settings) -> Bundle:
    """A small model in production."""
    made = make_bundle(fitted_model(), schema=SCHEMA.with_keys(VELOCITY.key_columns))
    save(made, settings.home / "bundle")
    models = Models(settings.models)
    models.publish(settings.home / "bundle")
    return models.production()


def write_month(settings: Settings, bundle: Bundle, payments: int) -> None:
    """A ledger of a month until now: one payment in a hundred has a label."""
    until, draw = time.time_ns() // 1_000, random.Random(1)
    began = time.perf_counter()
    with Ledger(settings.ledger) as ledger:
        waiting = list[Future[Any]]()
        for entry in entries(bundle, payments, until, draw):
            outcome = Future[Any]()
            ledger.append(entry, outcome.set_result)
            waiting.append(outcome)
            if len(waiting) >= _TOGETHER:
                for one in waiting:
                    one.result()
                waiting.clear()
        for one in waiting:
            one.result()
    print(f"ledger: {payments:,} payments in {time.perf_counter() - began:.0f} s", flush=True)


def entries(bundle: Bundle, payments: int, until: int, draw: random.Random) -> Iterator[Entry]:
    """The records of a month."""
    encode, step = msgspec.json.Encoder().encode, _DAYS * _DAY_US // payments
    for number in range(payments):
        arrived = until - (payments - number) * step
        body = encode(record(bundle, number, arrived, draw))
        yield Entry("payment", f"pay-{number}", arrived, arrived, bytes(32), body)
        if number % 100 == 99:
            label = encode({"value": number % 200 == 99, "source": "chargeback", "event": 1})
            named = f"pay-{number - draw.randrange(90)}"
            yield Entry("label", named, arrived, arrived, number.to_bytes(32), label)


def record(bundle: Bundle, number: int, arrived: int, draw: random.Random) -> dict[str, Any]:
    """The body of a decision on a payment of one of 50,000 cards at one of 5,000 merchants."""
    cents = 100 + int(draw.paretovariate(1.5) * 1_000) % 1_000_000
    action = draw.choice(_ACTIONS) if number % 20 == 0 else "approve"
    values = {
        "created_at": arrived,
        "amount": cents / 100,
        "currency": "EUR",
        "card_id": f"card-{draw.randrange(50_000)}",
        "merchant_id": f"merchant-{int(draw.paretovariate(0.7)) % 5_000}",
        "host_id": f"10.{draw.randrange(200)}.{draw.randrange(200)}.{draw.randrange(10)}",
        "mcc": "5411",
    }
    name = {"name": bundle.name, "version": bundle.version}
    answer = {
        "payment_id": f"pay-{number}",
        "decision_id": f"{number:032x}",
        "action": action,
        "probability": 0.01,
        "reasons": [],
        "rules": [],
        "model": name,
        "policy": bundle.version,
        "degraded": False,
        "decided_at": "2024-01-01T00:00:00Z",
    }
    payment = {"id": f"pay-{number}", "time": arrived, "arrived": 0, "minor": cents}
    return {
        "payment": payment | {"units": cents * 100, "values": values},
        "features": {"card_count_1h": 1.0, "card_count_1d": 2.0, "part_of_day": "Morning"},
        "probability": 0.01,
        "action": action,
        "model": bundle.version,
        "answer": answer,
    }


def follow(settings: Settings, bundle: Bundle) -> None:
    """Follow the whole ledger into an index."""
    file = IndexFile(settings.home / "index.db")
    schema, keys = bundle.schema, keys_of(bundle)
    before, began = peak_mb(), time.perf_counter()
    taken = IndexFollower(file, settings.ledger, settings.control, schema, keys).catch_up()
    size = file.path.stat().st_size / 1e6
    print(
        f"index: {taken:,} records in {time.perf_counter() - began:.0f} s, {size:,.0f} MB on disk, "
        f"peak memory {before:.0f} MB before and {peak_mb():.0f} MB after",
        flush=True,
    )


def peak_mb() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def pages(payments: int) -> dict[str, str]:
    """What is asked for, by name."""
    middle = f"pay-{payments // 2}"
    return {
        "overview, 3 hours": "/?window=3h",
        "overview, a week": "/?window=7d",
        "overview, six months": "/?window=26w",
        "payments, newest": "/payments",
        "payments of a card": "/payments?q=card-777",
        "payments of the largest merchant": "/payments?q=merchant-1&least=50",
        "payments by amount": "/payments?least=123.45&most=123.46",
        "payments by time and decision": "/payments?until=2099-01-01&action=decline",
        "payments by an amount that none has": "/payments?least=99999999",
        "receipt": f"/payments/receipt?id={middle}",
        "cases": "/cases",
        "a case": "/cases/17",
        "models": "/models",
    }


def measure(settings: Settings, token: str, given: argparse.Namespace) -> None:
    """Print the times of each page, and the memory of the console over many views."""
    with (settings.home / "console.log").open("w") as log:
        command = [sys.executable, "-m", "shroff", "console", "--port", "0", "--json"]
        console = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env={"SHROFF_HOME": str(settings.home)}
        )
    try:
        assert console.stdout is not None
        said = b""
        while not said.endswith(b"}\n"):
            said += console.stdout.readline()
        url = msgspec.json.decode(said)["url"]
        with httpx.Client(base_url=url, timeout=60) as http:
            http.cookies.set("shroff_session", token)
            print("| page | kB | p50 ms | p95 ms |\n|---|---|---|---|")
            for name, path in pages(given.payments).items():
                print(row(http, name, path, given.requests), flush=True)
            memory(http, console.pid, given)
    finally:
        console.terminate()
        console.wait(30)


def row(http: httpx.Client, name: str, path: str, requests: int) -> str:
    """The row of a page."""
    sizes, seconds = 0, list[float]()
    for number in range(requests + 2):
        began = time.perf_counter()
        answer = http.get(path)
        if number >= 2:  # the first one loads templates and bundles
            seconds.append(time.perf_counter() - began)
        if answer.status_code != 200:
            return f"| {name} | status {answer.status_code} | | |"
        sizes = len(answer.content)
    p50, p95 = np.percentile(np.array(seconds) * 1e3, [50, 95])
    return f"| {name} | {sizes / 1e3:.0f} | {p50:.1f} | {p95:.1f} |"


def memory(http: httpx.Client, process: int, given: argparse.Namespace) -> None:
    """Print the memory of the console while pages are looked at again and again."""
    paths, step = list(pages(given.payments).values()), max(given.views // 5, 1)
    for number in range(given.views + 1):
        if number % step == 0:
            print(f"memory after {number:,} page views: {resident_mb(process):.0f} MB", flush=True)
        http.get(paths[number % len(paths)])


def resident_mb(process: int) -> float:
    """The memory that a process has now."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


if __name__ == "__main__":
    main()
