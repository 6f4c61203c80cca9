"""Simulated payments on their way to a scorer, with what becomes known of them later."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import cycle
from secrets import token_hex
from typing import Any, Final

import polars as pl

from shroff.collect.times import DAY_US
from shroff.scoring.scorer import Scorer

_TOGETHER_US: Final = 60_000_000
_RESULTS: Final = 8
"""Results of so many payments come together."""
_LATER: Final = ("result", "result_at", "is_fraud", "labelled_at", "fraud_pattern")


def payload_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the log as a shop would send it: without what is only known later."""
    payload = {name: value for name, value in row.items() if name not in _LATER}
    return payload | {"created_at": row["created_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")}


def endless(log: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The payments of a log as if they were made now, again and again, each by somebody new."""
    run = token_hex(3)
    for number, row in enumerate(cycle(log.iter_rows(named=True))):
        person = f"{run}{number}"
        own = {
            "transaction_id": f"live-{person}",
            "created_at": datetime.now(UTC),
            "card_id": f"c{person}",
            "account_id": f"a{person}",
            "host_id": f"203.0.113.{number % 254 + 1}" if number % 3 == 0 else f"host-{person}",
            "email": f"{person}@example.org",
            "phone": f"+45{number:08}",
        }
        yield payload_of(row | own)


class DemoTraffic:
    """Sends the payments of a log in their order; chargebacks come in when they are due.

    Args:
        to: moves the clock on.
    """

    def __init__(self, scorer: Scorer, to: Callable[[int], None], log: pl.DataFrame) -> None:
        self._scorer = scorer
        self._to = to
        self._rows = list(log.iter_rows(named=True))
        self._times = log["created_at"].dt.epoch("us").to_list()
        self._at = 0
        self._due = list[tuple[int, str]]()
        self._results = list[tuple[str, str]]()
        self.truth = dict[str, bool](
            zip(log["transaction_id"], log["is_fraud"].cast(pl.Boolean), strict=True)
        )
        """Whether each payment is fraud, as the simulation knows."""

    async def pay(self, until: int) -> None:
        """Send the payments up to a moment, a few at a time, and move the clock there."""
        while self._at < len(self._rows) and self._times[self._at] <= until:
            last, end = min(until, self._times[self._at] + _TOGETHER_US), self._at
            while end < len(self._rows) and self._times[end] <= last:
                end += 1
            await self._send(self._at, end)
            self._at = end
        self._to(until)
        await self._tell(until, at_least=1)

    async def _send(self, at: int, end: int) -> None:
        rows = self._rows[at:end]
        self._to(self._times[end - 1])
        await self._tell(self._times[end - 1], at_least=_RESULTS)
        bodies = [json.dumps(payload_of(row)).encode() for row in rows]
        answers = await asyncio.gather(*(self._scorer.decide(body) for body in bodies))
        for row, answer in zip(rows, answers, strict=True):
            name, action = row["transaction_id"], json.loads(answer)["action"]
            if action == "approve":
                self._results.append((name, row["result"]))
                if row["is_fraud"]:
                    charged = int(row["labelled_at"].timestamp() * 1e6)
                    heapq.heappush(self._due, (max(charged, self._times[end - 1] + DAY_US), name))

    async def _tell(self, now: int, *, at_least: int) -> None:
        """Record results, once there are some, and the chargebacks that are due."""
        if len(self._results) >= at_least:
            told, self._results = self._results, []
            await asyncio.gather(*(self._scorer.learn("result", *one) for one in told))
        while self._due and self._due[0][0] <= now:
            _, name = heapq.heappop(self._due)
            await self._scorer.learn("label", name, True, source="chargeback")
