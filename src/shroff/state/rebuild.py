"""State after a start: history and then the ledger are fed to an engine, as if all came again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import chain
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from shroff.clock import MAX_AHEAD_US
from shroff.collect import Payment, Schema
from shroff.collect.extent import extent
from shroff.collect.payment import counted_in
from shroff.errors import BundleError, ShroffError
from shroff.features.engines.online import OnlineEngine, StateEngine
from shroff.features.engines.online.pending import Notice
from shroff.features.engines.online.plan_timelines import columns_read
from shroff.features.engines.online.resume import Resuming
from shroff.features.engines.replay import count as count_history
from shroff.lazy import without_collection
from shroff.ledger import Ledger, StoredEntry
from shroff.ledger.answer import later_record, stored_payment
from shroff.state.mark import Mark
from shroff.state.snapshots import Saved

if TYPE_CHECKING:
    from shroff.features.engines.online.redis import Filling, RedisEngine

Read = Callable[[int], Iterable[StoredEntry]]
"""The records of the ledger after one, by its number."""

_MAX_DISORDER_US: Final = 60_000_000
"""The most that records of several processes are out of the order of their arrivals."""

_LOOK_SECONDS: Final = 0.2
"""Seconds between two checks of a state that another process fills."""
_BATCH_PAYMENTS: Final = 100
"""Payments that an engine observes in one call, with Redis in one round trip."""
_HOLD_SECONDS: Final = 1.0
"""Seconds after which a claim is renewed."""
_log = logging.getLogger(__name__)


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
    """Feed an empty engine with history, and then with the ledger.

    Args:
        history: a clean table to start from; payments that are also in the ledger count once, those
            with an arrival in the future not at all.
        ledger: has the payments; `read` gives those that windows still reach.
        currency: the only one that payments may be counted in; None takes any.
        lateness: of payments, in microseconds.
        now: the clock's time; results and labels of history count if they arrived up to then.
        tick: called again and again while history is read; may raise to abort.
    """
    schema, known = engine.plan.schema, now + MAX_AHEAD_US
    there: Mapping[str, int] = {}
    if history is not None:
        there = ledger.numbers(history[schema.id].to_list())
        arrived = pl.col(schema.arrived_at or schema.time).dt.epoch("us") <= known
        for _ in count_history(
            engine, history.filter(arrived & ~pl.col(schema.id).is_in(list(there))), known=now
        ):
            tick()
    first, since = _reached(ledger, engine, lateness, now)
    # no payment arrives long before its own time, so earlier arrivals need not be read
    after = ledger.before(since - MAX_AHEAD_US)
    mark = replay(engine, by_arrival(read(after)), since=since, known=known, currency=currency)
    recorded = _Span(mark.oldest, mark.newest, mark.future).join(
        _Span(first, first) if first <= known else _Span()
    )
    mark = mark._replace(seq=max(mark.seq, after), known=known)
    if history is None:
        return mark._replace(**recorded._asdict())
    span = recorded.join(
        _span(history.filter(~pl.col(schema.id).is_in(list(there)))[schema.time], known)
    )
    return mark._replace(history=extent(history, schema), **span._asdict())


def _reached(ledger: Ledger, engine: OnlineEngine, lateness: int, now: int) -> tuple[int, int]:
    """The event time of the first payment (0: there is none), and from when on features see one."""
    first, last = ledger.payment_times()
    newest = max((time for time in last if time <= now + MAX_AHEAD_US), default=0)
    return next(iter(first), 0), min(newest, now) - lateness - engine.plan.horizon


def resume(
    engine: OnlineEngine,
    saved: Saved,
    ledger: Ledger,
    read: Read,
    *,
    currency: str | None = None,
    lateness: int,
    now: int,
    tick: Callable[[], None],
) -> Mark:
    """`fill` from a snapshot and the records after it.

    Raises:
        BadFile: the snapshot is of another engine.
    """
    engine.begin(saved.header.origin)
    resuming, schema, end = Resuming(engine), engine.plan.schema, saved.end
    # each collection would go through all that was loaded: half of the time
    with without_collection():
        for mark, portion in saved.portions():
            resuming.put(portion, mark)
            tick()
    first, since = _reached(ledger, engine, lateness, now)
    entries, needed, lacking = iter(read(saved.header.first)), _needed(engine), 0
    after: list[StoredEntry] = []
    for entry in entries:
        if entry.seq > end.head.seq:
            after.append(entry)
            break
        # what came while portions were packed; such a snapshot's ledger has one writer, in order
        if entry.kind == "payment" and not entry.gone and entry.time >= since:
            payment = _payment(entry, schema, currency)
            lacking += _lacks(entry, payment, needed)
            resuming.count(payment, entry.seq)
        elif (entry.kind == "result" or entry.kind == "label") and not entry.gone:
            notice = _notice(entry, schema)
            resuming.later(entry.payment_id, entry.kind, notice, entry.seq)
    tail = replay(
        engine,
        by_arrival(chain(after, entries)),
        since=since,
        known=now + MAX_AHEAD_US,
        currency=currency,
    )
    begun = saved.header.mark
    return begun._replace(
        seq=max(end.head.seq, tail.seq),
        arrived=max(end.arrived, tail.arrived),
        oldest=begun.oldest or first,
        newest=max(end.newest, tail.newest),
        future=begun.future + tail.future,
        forgotten=begun.forgotten + tail.forgotten,
        lacking=begun.lacking + lacking + tail.lacking,
    )


class _Span(NamedTuple):
    """The first and last time not in the future (0: none), and how many are in the future."""

    oldest: int = 0
    newest: int = 0
    future: int = 0

    def join(self, other: _Span) -> _Span:
        """The span of both."""
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
    """Feed an engine with the ledger's records, in their order.

    Payments with an event time before `since` are skipped: no window reaches them. `known` is where
    the future begins; payments later than that are only counted, and so are forgotten ones of which
    nothing was kept.

    Raises:
        BundleError: a payment is counted in another currency than this one.
    """
    seq = arrived = oldest = newest = future = forgotten = lacking = 0
    together, needed = list[Payment](), _needed(engine)
    for entry in entries:
        seq, arrived = max(seq, entry.seq), max(arrived, entry.arrived)
        if entry.gone:
            forgotten += entry.kind == "payment" and entry.time >= since
            continue
        if entry.kind == "payment":
            if known is not None and entry.time > known:
                future += 1
            else:
                oldest, newest = min(oldest or entry.time, entry.time), max(newest, entry.time)
            if entry.time >= since:
                payment = _payment(entry, engine.plan.schema, currency)
                lacking += _lacks(entry, payment, needed)
                together.append(payment)
        if together and (len(together) == _BATCH_PAYMENTS or entry.kind != "payment"):
            _count(engine, together)
            together = []
        if entry.kind == "result" or entry.kind == "label":
            value, rank, at = _notice(entry, engine.plan.schema)
            engine.later(entry.payment_id, entry.kind, value, rank=rank, arrived=at)
    if together:
        _count(engine, together)
    return Mark(
        seq,
        arrived,
        oldest=oldest,
        newest=newest,
        future=future,
        forgotten=forgotten,
        lacking=lacking,
    )


def _payment(entry: StoredEntry, schema: Schema, currency: str | None) -> Payment:
    payment = stored_payment(entry)
    if currency is not None and (counted := counted_in(payment, schema)) != currency:
        raise BundleError(
            f"the bundle reads amounts in {currency}, but the payment of record {entry.seq} was "
            f"counted in {counted or 'another currency'}, and features would add them: train it in "
            "that one, or begin another ledger (SHROFF_LEDGER)."
        )
    return payment


def _needed(engine: StateEngine) -> set[str]:
    """The columns that features read of past payments."""
    return columns_read(engine.plan.streams, engine.plan.schema)


def _lacks(entry: StoredEntry, payment: Payment, needed: set[str]) -> bool:
    """Whether a payment was sent without columns by another schema; of a forgotten one only what
    its features read was kept.
    """
    return entry.forgotten is None and not needed <= payment.values.keys()


def _notice(entry: StoredEntry, schema: Schema) -> Notice:
    """The result or label in a record."""
    said = later_record(entry)
    rank = schema.label_rank(said.source) if entry.kind == "label" else 0
    return Notice(said.value, rank, entry.arrived)


def _count(engine: StateEngine, payments: Sequence[Payment]) -> None:
    # for a payment that it knows, Redis would rebuild what it saw; asking first is cheaper
    new = engine.lacking(payments)
    if new:
        engine.count_all(new)


def by_arrival(entries: Iterable[StoredEntry]) -> Iterator[StoredEntry]:
    """The same in order of arrival: processes that share a ledger write in turns."""
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
"""Makes an engine in memory from history and ledger; gets what it should call meanwhile."""


def ensure_filled(
    engine: RedisEngine,
    fill: Fill,
    read: Read,
    *,
    currency: str | None = None,
    tick: Callable[[], None],
) -> int:
    """Fill the state, or wait until another process has; returns the last record that it knows.

    Args:
        engine: not used by others meanwhile.
        tick: called while it waits; may raise to abort.

    Raises:
        StateUnavailable: the server cannot be reached.
    """
    from shroff.features.engines.online.redis import claim  # a state in memory needs none of it

    while not engine.ready():
        tick()
        filling = claim(engine, missing=True)
        if filling is None:
            time.sleep(_LOOK_SECONDS)
            continue
        try:
            with _held(filling) as require_held:
                source, mark = fill(require_held)
            filling.pour(source)
        except BaseException:
            filling.give_up()
            raise
        if filling.open(mark=mark.seq):
            _log.warning("the state was filled from the ledger up to record %d.", mark.seq)
    known = engine.mark()
    # what came while it was filled; payments that the state has already count once
    return max(known, replay(engine, read(known), currency=currency).seq)


@contextmanager
def _held(filling: Filling) -> Iterator[Callable[[], None]]:
    """Renew a claim again and again, in a thread: one call may read a history for minutes.

    Gives a function that raises `StateUnavailable` once the claim is lost.
    """
    ended, lost = Event(), list[ShroffError]()

    def hold() -> None:
        while not (ended.wait(_HOLD_SECONDS) or lost):
            try:
                filling.hold()
            except ShroffError as error:
                lost.append(error)

    def require_held() -> None:
        if lost:
            raise lost[0]

    holder = Thread(target=hold, name="shroff-claim", daemon=True)
    holder.start()
    try:
        yield require_held
    finally:
        ended.set()
        holder.join()
