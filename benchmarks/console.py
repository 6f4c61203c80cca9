"""How long the console's pages take with 10,000 open cases and a month of a million payments.

    python -m benchmarks.console [--payments N] [--cases N] [--requests N] [--views N]

Fills a ledger in SQLite as a service does, without deciding; follows it into an index, which says
how long that takes and how much memory; opens cases of its suspicious payments and closes one in
five; starts `shroff console` and asks for each page over one connection, as an administrator. Times
are those of the client, on the same machine; the last column is processor time of the console for
one page. Then it looks at pages so many times, and says how much memory the console has.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import numpy as np

from console.seed import people
from console.site import Visit, problem_in, running
from serve.fixtures import SCHEMA, VELOCITY, fitted_model, make_bundle
from servers import processor_seconds
from shroff.act import CaseIntake, Desk
from shroff.act.follow import ledger_name
from shroff.act.intake import SUSPICIOUS
from shroff.control.models import Models
from shroff.index import IndexFile, IndexFollower, found_by
from shroff.ledger import Entry, Ledger
from shroff.monitor.recorded import recorded_plan
from shroff.package import Bundle, save
from shroff.settings import Settings

_DAY_US = 86_400_000_000
_DAYS = 30
_TOGETHER = 2_000
_ACTIONS = ("approve", "approve", "approve", "approve", "approve", "review", "decline")
_DECIDED_EACH: Final = 20
"""Of so many payments one is decided by these actions; the others are approved."""
_CLOSED_EACH: Final = 5
_MOST_CASES: Final = 1_000
_REASON: Final = {
    "code": "COUNT_HIGH",
    "feature": "card_count_1h",
    "direction": "above",
    "value": 3.0,
    "typical": 0.0,
    "share": 0.01,
    "values": {},
    "text": "3 payments by this card in 1 hour; higher than 99 % of payments; usual 0–1",
}
_READ: Final = "Over the last 31 days"
"""What the figures of rules say once the ledger is read."""
RULE_PAGES: Final = {"rules": ["/rules"], "rules, how often each held": ["/rules/figures"]}
_UNCOUNTED: Final = 2
"""The first requests of a page, which load templates and bundles."""


def main() -> None:
    """Fill, measure, print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--payments", type=int, default=1_000_000)
    asked.add_argument("--cases", type=int, default=10_000)
    asked.add_argument("--requests", type=int, default=100)
    asked.add_argument("--views", type=int, default=10_000)
    given = asked.parse_args()
    with TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        people(settings)
        bundle = published(settings)
        write_month(settings, bundle, given.payments)
        follow(settings, bundle)
        desk = open_cases(settings, bundle, given.cases)
        with running(settings) as console:
            visit, shown = console.visit("admin"), pages(desk, given.payments)
            measure(visit, shown, given.requests, console.process)
            remember(visit, console.process)
            measure(visit, RULE_PAGES, given.requests, console.process)
            grow(visit, shown, given.views, console.process)


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
    kinds = recorded_plan(bundle).kinds
    for number in range(payments):
        arrived = until - (payments - number) * step
        body = encode(record(bundle, kinds, number, arrived, draw))
        yield Entry("payment", f"pay-{number}", arrived, arrived, bytes(32), body)
        if number % 100 == 99:
            label = encode({"value": number % 200 == 99, "source": "chargeback", "event": 1})
            named = f"pay-{number - draw.randrange(90)}"
            yield Entry("label", named, arrived, arrived, number.to_bytes(32), label)


def record(
    bundle: Bundle, kinds: Mapping[str, str], number: int, arrived: int, draw: random.Random
) -> dict[str, Any]:
    """The body of a decision on a payment of one of 50,000 cards at one of 5,000 merchants."""
    cents = 100 + int(draw.paretovariate(1.5) * 1_000) % 1_000_000
    action = draw.choice(_ACTIONS) if number % _DECIDED_EACH == 0 else "approve"
    values = {
        "created_at": arrived,
        "amount": cents / 100,
        "currency": "EUR",
        "card_id": f"card-{draw.randrange(50_000)}",
        "merchant_id": f"merchant-{int(draw.paretovariate(0.7)) % 5_000}",
        "host_id": f"10.{draw.randrange(200)}.{draw.randrange(200)}.{draw.randrange(10)}",
        "mcc": "5411",
    }
    model = {"name": bundle.name, "version": bundle.version}
    features = {
        name: "Morning" if kind == "text" else float(draw.randrange(4))
        for name, kind in kinds.items()
    }
    answer = {
        "payment_id": f"pay-{number}",
        "decision_id": f"{number:032x}",
        "action": action,
        "probability": 0.01,
        "reasons": [] if action == "approve" else [_REASON],
        "rules": [],
        "model": model,
        "policy": bundle.version,
        "degraded": False,
        "decided_at": "2024-01-01T00:00:00Z",
    }
    payment = {"id": f"pay-{number}", "time": arrived, "arrived": 0, "minor": cents}
    return {
        "payment": payment | {"units": cents * 100, "values": values},
        "features": features,
        "probability": 0.01,
        "action": action,
        "model": bundle.version,
        "answer": answer,
    }


def follow(settings: Settings, bundle: Bundle) -> None:
    """Follow the whole ledger into an index."""
    file = IndexFile(settings.home / "index.db")
    schema, keys = bundle.schema, found_by(bundle)
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


def open_cases(settings: Settings, bundle: Bundle, cases: int) -> Desk:
    """Open cases of the newest suspicious payments, until so many are open once one in five is
    closed.
    """
    began, ledger = time.perf_counter(), Ledger(settings.ledger)
    desk = Desk(settings.control, key=settings.hmac_key())
    suspicious = sum(one != "approve" for one in _ACTIONS) / len(_ACTIONS) / _DECIDED_EACH
    wanted = round(cases * _CLOSED_EACH / (_CLOSED_EACH - 1) / suspicious)
    intake = CaseIntake(settings.control, str(ledger_name(ledger)), bundle, actions=SUSPICIOUS)
    intake.take(ledger.entries(after=max(0, ledger.head().seq - wanted)))
    opened, place = list[int](), None
    while page := desk.cases(limit=_MOST_CASES, after=place):
        opened += [one.id for one in page]
        place = page[-1].worth, page[-1].id
    closed = opened[::_CLOSED_EACH]
    for start in range(0, len(closed), _MOST_CASES):
        desk.decide_all(closed[start : start + _MOST_CASES], "ada", outcome="genuine")
    print(
        f"cases: {len(opened) - len(closed):,} open and {len(closed):,} closed in "
        f"{time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return desk


def pages(desk: Desk, payments: int) -> dict[str, Sequence[str]]:
    """The addresses of each kind of page, by name."""
    shown = desk.cases(limit=200)
    further = f"{shown[-1].worth!r}:{shown[-1].id}"
    return {
        "overview, 3 hours": ["/?window=3h"],
        "overview, a week": ["/?window=7d"],
        "overview, six months": ["/?window=26w"],
        "payments, newest": ["/payments"],
        "payments of a card": ["/payments?q=card-777"],
        "payments of the largest merchant": ["/payments?q=merchant-1&least=50"],
        "payments by amount": ["/payments?least=123.45&most=123.46"],
        "payments by time and decision": ["/payments?until=2099-01-01&action=decline"],
        "payments by an amount that none has": ["/payments?least=99999999"],
        "receipt": [f"/payments/receipt?id=pay-{payments // 2}"],
        "cases, the first 50": ["/cases"],
        "cases, further down": [f"/cases?after={further}"],
        "cases, closed": ["/cases?status=closed"],
        "cases of a card": [f"/cases?subject={one.subject}" for one in shown],
        "a case": [f"/cases/{one.id}" for one in shown],
        "do reasons help?": ["/cases/reasons"],
        "models": ["/models"],
    }


def measure(visit: Visit, shown: Mapping[str, Sequence[str]], requests: int, console: int) -> None:
    """Print a row for each kind of page."""
    print("| page | kB | p50 ms | p95 ms | processor ms |\n|---|---|---|---|---|")
    for name, addresses in shown.items():
        for address in addresses[:_UNCOUNTED]:
            visit.page(address)
        times, sizes, used = list[float](), list[int](), processor_seconds(console)
        for address in islice(cycle(addresses), requests):
            began = time.perf_counter()
            sizes.append(len(visit.page(address)))
            times.append(1e3 * (time.perf_counter() - began))
        spent = 1e3 * (processor_seconds(console) - used) / requests
        p50, p95 = np.percentile(times, [50, 95])
        size = np.mean(sizes) / 1e3
        print(f"| {name} | {size:.0f} | {p50:.1f} | {p95:.1f} | {spent:.1f} |", flush=True)


def remember(visit: Visit, console: int) -> None:
    """Print how long the page of rules takes to have the ledger's last days in memory, and how
    much that is.
    """
    before, began = resident_mb(console), time.perf_counter()
    while _READ not in (page := visit.page("/rules/figures")):
        assert 'role="alert"' not in page, problem_in(page)
        time.sleep(0.1)
    print(
        f"rules: read in {time.perf_counter() - began:.0f} s, memory {before:.0f} MB before and "
        f"{resident_mb(console):.0f} MB after, {resident_mb(console, 'VmHWM'):.0f} MB at most",
        flush=True,
    )


def grow(visit: Visit, shown: dict[str, Sequence[str]], views: int, console: int) -> None:
    """Print the memory of the console while pages are looked at again and again."""
    mixed, step = cycle([one for addresses in shown.values() for one in addresses[:20]]), views // 5
    for number in range(views + 1):
        if number % max(step, 1) == 0:
            print(f"memory after {number:,} page views: {resident_mb(console):.0f} MB", flush=True)
        visit.page(next(mixed))


def resident_mb(process: int, figure: str = "VmRSS") -> float:
    """The memory that a process has now; `VmHWM`: the most that it ever had."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (one for one in status.splitlines() if one.startswith(figure))
    return int(line.split()[1]) / 1e3


if __name__ == "__main__":
    main()
