"""Hostile HTTP against a real service: thousands of cases of many kinds, each over a connection of
its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.fuzz import bodies, framing, heads
from benchmarks.fuzz.draft import Draft, Recipe
from benchmarks.fuzz.neighbour import Neighbour
from benchmarks.fuzz.outcome import Outcome
from benchmarks.fuzz.watch import DELAY, Seen, Watch
from benchmarks.fuzz.wire import Case, ask
from serve.fuzzable import fuzzable
from serve.service import Service

KINDS: Final[dict[str, Recipe]] = heads.KINDS | framing.KINDS | bodies.KINDS
TOGETHER: Final = 6
"""Connections that are attacked at the same time."""
_MOST: Final = 20
"""Failures after which a kind is broken off: each may take as long as a hang takes."""
_SHOWN: Final = 120


def fuzz_http(
    home: Path,
    *,
    cases: int,
    seed: int,
    kinds: Sequence[str] = tuple(KINDS),
    together: int = TOGETHER,
    patience: float = DELAY,
) -> Iterator[Outcome]:
    """Give a service so many cases, divided among the kinds; after a kind that failed, another
    service.
    """
    rest = list(kinds)
    while rest:
        place = home / f"from-{rest[0].replace(' ', '-')}"
        with fuzzable(place) as (service, token):
            port, pid = service.address[1], service.process.pid
            with Neighbour(port, token, pid) as neighbour:
                watch, failed = (
                    Watch(pid, service.log, neighbour, quiet=True, patience=patience),
                    False,
                )
                while rest and not failed:
                    kind, at = rest.pop(0), len(kinds) - len(rest)
                    count = cases * at // len(kinds) - cases * (at - 1) // len(kinds)
                    with watch.over(kind) as seen:
                        asyncio.run(_give(service, token, kind, count, seed, together, seen))
                    failed = bool(seen.failures)
                    yield seen.outcome()


async def _give(
    service: Service, token: str, kind: str, count: int, seed: int, together: int, seen: Seen
) -> None:
    port, numbers = service.address[1], iter(range(count))

    async def some() -> None:
        for number in numbers:
            draft = Draft(Random(f"{seed} {kind} {number}"), token, kind, number)
            case = KINDS[kind](draft)
            name = f"probe-{kind}-{number}"
            probe = draft.post(draft.body(payment_id=name))
            wrong = await ask(port, case, probe, f'"payment_id":"{name}"'.encode())
            seen.cases += 1
            if wrong:
                seen.failures[f"{wrong}: case {number} of seed {seed}, {_shown(case)}"] += 1
            if (code := service.process.poll()) is not None:
                seen.failures[f"the service ended with {code}: case {number} of seed {seed}"] += 1
            if sum(seen.failures.values()) >= _MOST or code is not None:
                return

    await asyncio.gather(*[some() for _ in range(together)])


def _shown(case: Case) -> str:
    sent = b"".join(case.pieces)
    return f"{len(sent):,} bytes: {sent[:_SHOWN]!r} … {sent[-_SHOWN:]!r}"
