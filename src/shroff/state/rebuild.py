"""State after a start: what history says, then what the ledger says, as if it all came again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

import polars as pl

from shroff.clock import MAX_AHEAD_US
from shroff.collect import Payment, Schema
from shroff.collect.extent import Extent, extent
from shroff.collect.payment import counted_in
from shroff.errors import BundleError
from shroff.features.engines.online import OnlineEngine, StateEngine
from shroff.features.engines.online.redis import RedisEngine, claim
from shroff.features.engines.replay import feed
from shroff.ledger import Ledger, StoredEntry
from shroff.ledger.answer import later_record, stored_payment

Read = Callable[[int], Iterable[StoredEntry]]
"""The records of the ledger after one, by its number."""

_MAX_DISORDER_US: Final = 60_000_000
"""By how much the records of several processes are out of the order of their arrivals at most, in
microseconds.
"""

_LOOK_SECONDS: Final = 0.2
"""Seconds between two looks at a state that another process fills."""
_BATCH_PAYMENTS: Final = 100
"""Payments that an engine sees in one go: with Redis in one round trip."""
_CLAIM_RECORDS: Final = 10_000
"""Records after which a claim is renewed."""
_log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """How far the ledger was read: the number of the last record, and the latest arrival there was.

    `history` is the extent of the table that was read before it, `oldest` and `newest` the event
    times of the first and the last payment of both that is not in the future (0: there is none);
    `shared` says that the state was there already. `known` is the moment up to which history had
    arrived for it, and `future` how many payments lay later.
    """

    seq: int
    arrived: int
    history: Extent | None = None
    oldest: int = 0
    newest: int = 0
    shared: bool = False
    known: int | None = None
    future: int = 0


def fill(
    engine: OnlineEngine,
    history: pl.DataFrame | None,
    ledger: Ledger,
    read: Read,
    *,
    currency: str | None = None,
    lateness: int,
    now: int,
    tick: Callable[[], None],
) -> Mark:
    """Let an empty engine see history, and then the ledger.

    Args:
        history: a clean table to start from; payments that the ledger has too are not counted
            twice, and those that by their own account arrive in the future not at all.
        ledger: where the payments are looked for; `read` gives those that windows still reach.
        currency: the only one that payments may be counted in; None takes any.
        lateness: of payments, in microseconds.
        now: what the clock reads; results and labels of history count that arrived up to then.
        tick: called for each payment of history; may raise, to break it off.
    """
    schema, known = engine.plan.schema, now + MAX_AHEAD_US
    there: Mapping[str, int] = {}
    if history is not None:
        there = ledger.numbers(history[schema.id].to_list())
        arrived = pl.col(schema.arrived_at or schema.time).dt.epoch("us") <= known
        for _ in feed(
            engine, history.filter(arrived & ~pl.col(schema.id).is_in(list(there))), known=now
        ):
            tick()
    first, last = ledger.payment_times()
    newest = max((time for time in last if time <= known), default=0)
    # how much older than the newest payment one can be that features still see
    since = min(newest, now) - lateness - engine.plan.horizon
    # and no payment arrives long before its own time: what arrived before that is not even read
    after = ledger.before(since - MAX_AHEAD_US)
    mark = replay(engine, by_arrival(read(after)), since=since, known=known, currency=currency)
    recorded = _Span(mark.oldest, mark.newest, mark.future).join(
        _Span(*first if first and first[0] <= known else ())
    )
    mark = mark._replace(seq=max(mark.seq, after), known=known)
    if history is None:
        return mark._replace(**recorded._asdict())
    span = recorded.join(
        _span(history.filter(~pl.col(schema.id).is_in(list(there)))[schema.time], known)
    )
    return mark._replace(history=extent(history, schema), **span._asdict())


class _Span(NamedTuple):
    """The first and the last time that is not in the future (0: there is none), and how many
    are.
    """

    oldest: int = 0
    newest: int = 0
    future: int = 0

    def join(self, other: _Span) -> _Span:
        """That of both."""
        oldest = min(filter(None, (self.oldest, other.oldest)), default=0)
        return _Span(oldest, max(self.newest, other.newest), self.future + other.future)


def _span(times: pl.Series, known: int) -> _Span:
    """The span of these times; `known` is where the future begins, microseconds since the epoch."""
    moments = times.dt.epoch("us")
    past = moments.filter(moments <= known)
    return _Span(int(past.min() or 0), int(past.max() or 0), len(moments) - len(past))  # type: ignore[arg-type]  # they are whole numbers


def replay(
    engine: StateEngine,
    entries: Iterable[StoredEntry],
    *,
    since: int = 0,
    known: int | None = None,
    currency: str | None = None,
) -> Mark:
    """Let the engine see the ledger's records again, in their order.

    Payments of an event time before `since` are passed over: no window reaches them any more.
    `known` is where the future begins, for what is said of their times.

    Raises:
        BundleError: a payment is counted in another currency than this one.
    """
    seq = arrived = oldest = newest = future = 0
    together: list[Payment] = []
    for entry in entries:
        seq, arrived = max(seq, entry.seq), max(arrived, entry.arrived)
        if entry.kind == "payment":
            if known is not None and entry.time > known:
                future += 1
            else:
                oldest, newest = min(oldest or entry.time, entry.time), max(newest, entry.time)
            if entry.time >= since:
                together.append(_payment(entry, engine.plan.schema, currency))
        if together and (len(together) == _BATCH_PAYMENTS or entry.kind != "payment"):
            _observe(engine, together)
            together = []
        if entry.kind == "result" or entry.kind == "label":
            said = later_record(entry)
            rank = engine.plan.schema.label_rank(said.source) if entry.kind == "label" else 0
            engine.later(entry.payment_id, entry.kind, said.value, rank=rank, arrived=entry.arrived)
    if together:
        _observe(engine, together)
    return Mark(seq, arrived, oldest=oldest, newest=newest, future=future)


def _payment(entry: StoredEntry, schema: Schema, currency: str | None) -> Payment:
    payment = stored_payment(entry)
    if currency is not None and (counted := counted_in(payment, schema)) != currency:
        raise BundleError(
            f"the bundle reads amounts in {currency}, but the payment of record {entry.seq} was "
            f"counted in {counted or 'another currency'}, and features would add them: train it in "
            "that one, or begin another ledger (SHROFF_LEDGER)."
        )
    return payment


def _observe(engine: StateEngine, payments: Sequence[Payment]) -> None:
    # Redis would rebuild what a payment saw that it knows already, which costs more than asking
    # first
    new = engine.lacking(payments)
    if new:
        engine.observe_all(new)


def by_arrival(entries: Iterable[StoredEntry]) -> Iterator[StoredEntry]:
    """The same in the order of their arrivals: processes that share a ledger write in turns."""
    waiting: list[tuple[int, int, StoredEntry]] = []
    latest = 0
    for entry in entries:
        latest = max(latest, entry.arrived)
        heappush(waiting, (entry.arrived, entry.seq, entry))
        while waiting[0][0] < latest - _MAX_DISORDER_US:
            yield heappop(waiting)[2]
    while waiting:
        yield heappop(waiting)[2]


Fill = Callable[[Callable[[], None]], tuple[OnlineEngine, Mark]]
"""Makes an engine in memory that knows history and ledger; is given what it should call all the
while.
"""


def ensure_filled(
    engine: RedisEngine, fill: Fill, read: Read, *, currency: str | None = None
) -> int:
    """Let there be a state: fill it, or wait until another process has; how far it knows the
    ledger.

    Args:
        engine: used by nobody else meanwhile.

    Raises:
        StateUnavailable: the server cannot be reached.
    """
    while not engine.ready():
        filling = claim(engine)
        if filling is None:
            time.sleep(_LOOK_SECONDS)
        else:
            source, mark = fill(_every(_CLAIM_RECORDS, filling.hold))
            filling.pour(source)
            if filling.open(mark=mark.seq):
                _log.warning("the state was filled from the ledger up to record %d.", mark.seq)
    known = engine.mark()
    # what came while it was filled; what is there already counts once
    return max(known, replay(engine, read(known), currency=currency).seq)


def _every(times: int, call: Callable[[], None]) -> Callable[[], None]:
    """A function that calls another every so many times."""
    turns = count(1)
    return lambda: call() if next(turns) % times == 0 else None
