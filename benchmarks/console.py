"""How long the console's pages take with 10,000 open cases: milliseconds until the answer.

python -m benchmarks.console [--cases 10000] [--requests 100] [--views 10000]

Lets a scorer decide as many payments, all of which are reviewed, opens a case for each card and
closes one in five, then starts `shroff console` and asks for its pages over loopback, one after
another, as an analyst. The last column is processor time of the console for one page. At the end
pages are viewed `--views` times more, and the console's memory before and after is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.cases import processor_seconds
from console.seed import people
from console.site import Visit, running
from serve.fixtures import fitted_model, make_bundle
from shroff import Policy
from shroff.act import Case, CaseIntake, Desk
from shroff.act.follow import ledger_name
from shroff.ledger import Ledger
from shroff.scoring.scorer import Scorer
from shroff.settings import Settings

_BEGAN: Final = datetime(2026, 11, 1, tzinfo=UTC)
_AT_ONCE: Final = 50
_WARM: Final = 200
_CLOSED_SHARE: Final = 5
_MAX_CASES: Final = 1_000


def main() -> None:
    """Measure, print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--cases", type=int, default=10_000)
    asked.add_argument("--requests", type=int, default=100)
    asked.add_argument("--views", type=int, default=10_000)
    given = asked.parse_args()
    with TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        people(settings)
        desk = fill(settings, given.cases * _CLOSED_SHARE // (_CLOSED_SHARE - 1))
        pages = kinds(desk)
        print(f"{sum(load.open for load in desk.loads()):,} open cases")
        print("| page | p50 ms | p95 ms | processor ms |")
        print("|---|---|---|---|")
        with running(settings) as console:
            visit = console.visit("analyst")
            measure(visit, pages, given.requests, console.process)
            grown(visit, pages, given.views, console.process)


def fill(settings: Settings, payments: int) -> Desk:
    """Decide payments, open their cases, and close one in five."""
    policy = msgspec.to_builtins(Policy(review_at=1e-9, decline_at=1.0, degraded="review"))
    bundle = make_bundle(fitted_model(), policy=policy)
    ledger = Ledger(settings.ledger)
    asyncio.run(decide(Scorer(bundle, ledger, key=settings.hmac_key()), payments))
    CaseIntake(settings.control, str(ledger_name(ledger)), bundle).take(ledger.entries())
    desk = Desk(settings.control, key=settings.hmac_key())
    found: list[Case] = []
    while page := desk.cases(limit=_MAX_CASES, after=_place(found)):
        found += page
    numbers = [one.id for one in found[::_CLOSED_SHARE]]
    for start in range(0, len(numbers), _MAX_CASES):
        desk.decide_all(numbers[start : start + _MAX_CASES], "ada", outcome="genuine")
    return desk


def _place(found: list[Case]) -> tuple[float, int] | None:
    return (found[-1].worth, found[-1].id) if found else None


async def decide(scorer: Scorer, payments: int) -> None:
    """Have payments decided, some at once."""
    scorer.start()
    for start in range(0, payments, _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, payments))
        await asyncio.gather(*(scorer.decide(msgspec.json.encode(payment(n))) for n in part))
    scorer.close()


def payment(number: int) -> dict[str, Any]:
    """A payment of a card of its own, with a shop, a host and an e-mail that others have too."""
    return {
        "payment_id": f"p{number}",
        "created_at": (_BEGAN + number * timedelta(seconds=30)).isoformat(),
        "amount": 100.0 + number % 977,
        "currency": "EUR",
        "card_id": f"c{number}",
        "merchant_id": f"m{number % 40}",
        "host_id": f"10.{number % 251}.{number % 13}.1",
        "mcc": "6011",
        "request_country": "DK",
        "account_country": "SE",
        "items": 1,
        "email": f"user{number % 4_999}@example.org",
    }


def kinds(desk: Desk) -> dict[str, Sequence[str]]:
    """The addresses of each kind of page."""
    shown = desk.cases(limit=200)
    middle = shown[-1]
    return {
        "cases, the first 50": ["/cases"],
        "cases, further down": [f"/cases?after={middle.worth!r}:{middle.id}"],
        "cases, closed": ["/cases?status=closed"],
        "cases of a card": [f"/cases?subject={one.subject}" for one in shown],
        "a case": [f"/cases/{one.id}" for one in shown],
        "do reasons help?": ["/cases/reasons"],
    }


def measure(visit: Visit, pages: dict[str, Sequence[str]], requests: int, console: int) -> None:
    """Print a row for each kind of page."""
    for name, addresses in pages.items():
        visit.page(addresses[0])
        times, used = [], processor_seconds(console)
        for address in islice(cycle(addresses), requests):
            began = time.perf_counter()
            visit.page(address)
            times.append(1e3 * (time.perf_counter() - began))
        spent = 1e3 * (processor_seconds(console) - used) / requests
        p50, p95 = np.percentile(times, [50, 95])
        print(f"| {name} | {p50:.1f} | {p95:.1f} | {spent:.1f} |", flush=True)


def grown(visit: Visit, pages: dict[str, Sequence[str]], views: int, console: int) -> None:
    """Print the console's memory before and after many views of all kinds."""
    mixed = cycle([address for addresses in pages.values() for address in addresses[:20]])
    for address in islice(mixed, min(_WARM, views)):
        visit.page(address)
    before = megabytes(console)
    for address in islice(mixed, views):
        visit.page(address)
    print(f"memory: {before:.0f} MB, after {views:,} views {megabytes(console):.0f} MB")


def megabytes(process: int) -> float:
    """The memory that a process holds."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (held,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(held) / 1024


if __name__ == "__main__":
    main()
