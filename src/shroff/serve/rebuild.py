"""State after a start: what history says, then what the ledger says, as if it all came again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import polars as pl

from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.replay import feed
from shroff.serve.answer import later_record, stored_payment
from shroff.serve.ledger import StoredEntry


def warm(engine: OnlineEngine, history: pl.DataFrame, *, known: int) -> Iterator[None]:
    """Observe a clean table's payments in order of arrival, with the results and labels it has.

    Results and labels that arrived after the table's last payment count too, up to `known` (microseconds
    since the epoch). Yields after each payment, so that it can be broken off.
    """
    for _ in feed(engine, history, known=known):
        yield


def survey(entries: Iterable[StoredEntry], ids: Collection[str]) -> tuple[list[str], int]:
    """Which of these payments the ledger has, and the event time of the newest payment in it (0: it has none)."""
    known, newest = [], 0
    for entry in entries:
        if entry.kind == "payment":
            newest = max(newest, entry.time)
            if entry.payment_id in ids:
                known.append(entry.payment_id)
    return known, newest


def replay(engine: OnlineEngine, entries: Iterable[StoredEntry], *, since: int) -> int:
    """Let the engine see the ledger's records again, in their order; when the last of them arrived (0: none did).

    Payments of an event time before `since` are passed over: no window reaches them any more.
    """
    arrived = 0
    for entry in entries:
        arrived = entry.arrived
        if entry.kind != "payment":
            engine.later(entry.payment_id, entry.kind, later_record(entry.body).value)
        elif entry.time >= since:
            engine.observe(stored_payment(entry))
    return arrived
