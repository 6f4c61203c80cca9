"""Lists of cases, and what waits in each queue."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy import case as when

from shroff.act.book import CaseBook
from shroff.act.case import CaseQueue
from shroff.act.rules import apart, waiting_now
from shroff.act.tables import CASE_SECOND, CASES, stored
from shroff.errors import ConfigurationError

MAX_CASES: Final = 1_000


class QueueLoad(NamedTuple):
    """What waits in a queue: open cases, those that nobody has claimed or put off, those that are
    overdue, and the expected loss of all.
    """

    queue: CaseQueue
    open: int
    waiting: int
    overdue: int
    expected_loss: float


class CaseFilter(NamedTuple):
    """Which cases are listed: see `Desk.cases`."""

    queue: str | None = None
    holder: str | None = None
    subject: str | None = None
    waiting: bool = False
    overdue: bool = False
    closed: bool = False
    viewer: str | None = None


def conditions(asked: CaseFilter, now: int) -> list[ColumnElement[bool]]:
    """What a listed case meets."""
    found = [CASES.c.status == ("closed" if asked.closed else "open"), apart()]
    if asked.queue is not None:
        found.append(CASES.c.queue == asked.queue)
    if asked.subject is not None:
        found.append(CASES.c.subject == stored(asked.subject))
    if asked.viewer is not None and asked.closed:
        blind = (CASE_SECOND.c.holder == asked.viewer, CASE_SECOND.c.outcome.is_(None))
        found.append(CASES.c.id.not_in(select(CASE_SECOND.c.case).where(*blind)))
    if asked.holder is not None:
        found += [CASES.c.holder == asked.holder, CASES.c.lease > now]
    if asked.waiting:
        found += waiting_now(now)
    if asked.overdue:
        found.append(CASES.c.due < now)
    return found


def require_limit(limit: int) -> None:
    """Raise `ConfigurationError` for more cases than are read at once."""
    if not 0 < limit <= MAX_CASES:
        raise ConfigurationError(f"expected a limit of 1 to {MAX_CASES:,}, got {limit}.")


def loads(book: CaseBook) -> list[QueueLoad]:
    """What waits in each queue, also in those that were removed and still have open cases."""
    waits = when((and_(*waiting_now(book.now)), 1), else_=0)
    late = when((CASES.c.due < book.now, 1), else_=0)
    query = select(
        CASES.c.queue,
        func.count(),
        func.sum(waits),
        func.sum(late),
        func.sum(CASES.c.expected_loss),
    )
    query = query.where(CASES.c.status == "open", apart()).group_by(CASES.c.queue)
    found = {name: row for name, *row in book.connection.execute(query)}
    queues = {one.name: one for one in book.queues()}
    queues |= {name: CaseQueue(name=name) for name in sorted(found.keys() - queues.keys())}
    none = (0, 0, 0, 0.0)
    return [QueueLoad(one, *found.get(name, none)) for name, one in queues.items()]
