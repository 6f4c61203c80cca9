"""State after a start: what history says, then what the ledger says, as if it all came again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

import polars as pl

from shroff.collect import Payment
from shroff.collect.extent import Extent, extent
from shroff.features.engines.online import Engine, OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, claim
from shroff.features.engines.replay import feed
from shroff.serve.answer import later_record, stored_payment
from shroff.serve.ledger import StoredEntry

Read = Callable[[int], Iterable[StoredEntry]]
"""The records of the ledger after one, by its number."""

_DISORDER: Final = 60_000_000
"""By how much the records of several processes are out of the order of their arrivals at most, in microseconds."""

_PATIENCE: Final = 0.2
"""Seconds between two looks at a state that another process fills."""
_TOGETHER: Final = 100
"""Payments that an engine sees in one go: with Redis in one round trip."""
_HOLD: Final = 10_000
"""Records after which a claim is renewed."""
_log = logging.getLogger("shroff.serve")


class Mark(NamedTuple):
    """How far the ledger was read: the number of the last record, and the latest arrival there was.

    `history` is the extent of the table that was read before it, `oldest` and `newest` the event times of the first and
    the last payment of both (0: there is none); `shared` says that the state was there already.
    """

    seq: int
    arrived: int
    history: Extent | None = None
    oldest: int = 0
    newest: int = 0
    shared: bool = False


def fill(
    engine: OnlineEngine,
    history: pl.DataFrame | None,
    read: Read,
    *,
    lateness: int,
    known: int,
    tick: Callable[[], None],
) -> Mark:
    """Let an empty engine see history, and then the ledger.

    Args:
        history: a clean table to start from; payments that the ledger has too are not counted twice.
        lateness: of payments, in microseconds.
        known: results and labels of history count that arrived up to then, microseconds since the epoch.
        tick: called for each payment and record; may raise, to break it off.
    """
    column = engine.plan.schema.id
    ids = frozenset[str]() if history is None else frozenset(history[column])
    there, oldest, newest = _survey(read(0), ids)
    if history is not None:
        for _ in feed(engine, history.filter(~pl.col(column).is_in(there)), known=known):
            tick()
    # how much older than the newest payment one can be that features still see
    reach = lateness + engine.plan.horizon
    mark = replay(engine, by_arrival(read(0)), since=newest - reach, tick=tick)
    if history is None:
        return mark._replace(oldest=oldest, newest=newest)
    times = [time for time in (oldest, newest, *_span(history[engine.plan.schema.time])) if time]
    found = extent(history, engine.plan.schema)
    return mark._replace(history=found, oldest=min(times, default=0), newest=max(times, default=0))


def _span(times: pl.Series) -> tuple[int, int]:
    """The first and the last of these times, microseconds since the epoch; 0 where there are none."""
    moments = times.dt.epoch("us")
    return int(moments.min() or 0), int(moments.max() or 0)  # type: ignore[arg-type]  # they are whole numbers


def replay(
    engine: Engine, entries: Iterable[StoredEntry], *, since: int = 0, tick: Callable[[], None] = lambda: None
) -> Mark:
    """Let the engine see the ledger's records again, in their order.

    Payments of an event time before `since` are passed over: no window reaches them any more.
    """
    seq = arrived = 0
    together: list[Payment] = []
    for entry in entries:
        tick()
        seq, arrived = max(seq, entry.seq), max(arrived, entry.arrived)
        if entry.kind == "payment" and entry.time >= since:
            together.append(stored_payment(entry))
        if together and (len(together) == _TOGETHER or entry.kind != "payment"):
            _observe(engine, together)
            together = []
        if entry.kind == "result" or entry.kind == "label":
            said = later_record(entry.body)
            rank = engine.plan.schema.label_rank(said.source) if entry.kind == "label" else 0
            engine.later(entry.payment_id, entry.kind, said.value, rank=rank, arrived=entry.arrived)
    if together:
        _observe(engine, together)
    return Mark(seq, arrived)


def _observe(engine: Engine, payments: Sequence[Payment]) -> None:
    # to see what a known payment saw would cost more than all the rest
    new = engine.lacking(payments) if isinstance(engine, RedisEngine) else payments
    if new:
        engine.observe_all(new)


def by_arrival(entries: Iterable[StoredEntry]) -> Iterator[StoredEntry]:
    """The same in the order of their arrivals: processes that share a ledger write in turns."""
    waiting: list[tuple[int, int, StoredEntry]] = []
    latest = 0
    for entry in entries:
        latest = max(latest, entry.arrived)
        heappush(waiting, (entry.arrived, entry.seq, entry))
        while waiting[0][0] < latest - _DISORDER:
            yield heappop(waiting)[2]
    while waiting:
        yield heappop(waiting)[2]


def _survey(entries: Iterable[StoredEntry], ids: Collection[str]) -> tuple[list[str], int, int]:
    """Which of these payments the ledger has, and the event times of its first and its last one (0: it has none)."""
    known, oldest, newest = [], 0, 0
    for entry in entries:
        if entry.kind == "payment":
            oldest, newest = min(oldest or entry.time, entry.time), max(newest, entry.time)
            if entry.payment_id in ids:
                known.append(entry.payment_id)
    return known, oldest, newest


Fill = Callable[[Callable[[], None]], tuple[OnlineEngine, Mark]]
"""Makes an engine in memory that knows history and ledger; is given what it should call all the while."""


def ensure_filled(engine: RedisEngine, fill: Fill, read: Read) -> int:
    """Let there be a state: fill it, or wait until another process has; how far it knows the ledger.

    Args:
        engine: used by nobody else meanwhile.

    Raises:
        StateUnavailable: the server cannot be reached.
    """
    while not engine.ready():
        filling = claim(engine)
        if filling is None:
            time.sleep(_PATIENCE)
        else:
            source, mark = fill(_every(_HOLD, filling.hold))
            filling.pour(source)
            if filling.open(mark=mark.seq):
                _log.warning("the state was filled from the ledger up to record %d.", mark.seq)
    known = engine.mark()
    # what came while it was filled; what is there already counts once
    return max(known, replay(engine, read(known)).seq)


def _every(times: int, call: Callable[[], None]) -> Callable[[], None]:
    """A function that calls another every so many times."""
    turns = count(1)
    return lambda: call() if next(turns) % times == 0 else None
