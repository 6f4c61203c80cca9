"""Second reviews: a share of closed cases is judged again by somebody who sees no outcome.

Which cases is drawn by a keyed hash of their number, so nobody can guess it, and closing a case
again draws the same. Drawn cases come before others, or only the large ones would ever be judged
twice.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row, select

from shroff.act.book import MAX_NUMBER, CaseBook
from shroff.act.case import Case, CaseEvent, CasePayment, Outcome
from shroff.act.tables import CASE_SECOND
from shroff.errors import CaseConflict, ConfigurationError

_SHOWN: Final = ("opened", "grew")
"""Steps that say nothing of what anybody thought of a case."""


class SecondReview(NamedTuple):
    """A case that was judged twice: by whom, and what it came to each time."""

    case: int
    first_by: str
    first: Outcome
    by: str
    outcome: Outcome


def is_drawn(key: bytes, case: int, share: float) -> bool:
    """Whether a case is judged twice, where this share of all is.

    >>> sum(is_drawn(b"secret", case, 0.1) for case in range(10_000))
    946
    """
    made = blake2b(case.to_bytes(8), digest_size=8, key=blake2b(key).digest(), person=b"second")
    return int.from_bytes(made.digest()) < share * 2**64


def draw(book: CaseBook, key: bytes, case: Case, by: str) -> None:
    """Have a case that somebody has closed judged again, if it is drawn."""
    share = next((one.second_review for one in book.queues() if one.name == case.queue), 0.0)
    known = select(CASE_SECOND.c.case).where(CASE_SECOND.c.case == case.id)
    if not is_drawn(key, case.id, share) or book.connection.scalar(known) is not None:
        return
    values = {"case": case.id, "queue": case.queue, "first_by": by, "first": case.outcome}
    book.connection.execute(CASE_SECOND.insert(), values | {"drawn": book.now})


def next_second(book: CaseBook, by: str, queue: str | None, lease: int) -> Case | None:
    """Claim the drawn case that has waited longest, as one that nobody has judged."""
    second = CASE_SECOND.c
    query = select(second.case).where(second.outcome.is_(None), second.first_by != by)
    query = query.where((second.lease.is_(None)) | (second.lease <= book.now))
    if queue is not None:
        query = query.where(second.queue == queue)
    number = book.connection.scalar(query.order_by(second.drawn, second.case).limit(1))
    if number is None:
        return None
    _hold(book, number, by, book.now + lease)
    return blind(book, book.case(number), by)


def held(book: CaseBook, number: int, by: str | None) -> Row[Any] | None:
    """The second review of a case that somebody is at: also past the hour, until somebody else
    takes it, or waiting would show what it came to.
    """
    second = CASE_SECOND.c
    mine = (second.case == number, second.holder == by, second.outcome.is_(None))
    query = select(CASE_SECOND).where(*mine)
    known = by is not None and number <= MAX_NUMBER
    return book.connection.execute(query).one_or_none() if known else None


def cases_held(book: CaseBook, by: str) -> frozenset[int]:
    """All cases whose second review somebody is at."""
    second = CASE_SECOND.c
    mine = select(second.case).where(second.holder == by, second.outcome.is_(None))
    return frozenset(book.connection.scalars(mine))


def payments_held(book: CaseBook, by: str) -> frozenset[str]:
    """The payments of all cases whose second review somebody is at."""
    found = cases_held(book, by)
    return frozenset(one.payment_id for number in found for one in book.payments(number))


def require_seen(book: CaseBook, number: int, by: str) -> None:
    """Raise `CaseConflict` for who judges a case a second time, and may not know it yet."""
    if held(book, number, by) is not None:
        raise CaseConflict(f"you judge case {number} a second time: decide it first.")


def blind(book: CaseBook, case: Case, by: str) -> Case:
    """A closed case as its second reviewer sees it."""
    row = held(book, case.id, by)
    return msgspec.structs.replace(
        case,
        status="open",
        outcome=None,
        closed=None,
        level=0,
        holder=by,
        lease=None if row is None else row.lease,
    )


def blind_file(
    book: CaseBook, case: Case, by: str
) -> tuple[Case, list[CasePayment], list[CaseEvent]]:
    """A closed case with its payments and steps, as its second reviewer sees it."""
    payments = [msgspec.structs.replace(one, fraud=None) for one in book.payments(case.id)]
    steps = [one for one in book.events(case.id) if one.step in _SHOWN]
    return blind(book, case, by), payments, steps


def judge(
    book: CaseBook,
    number: int,
    by: str,
    *,
    outcome: Outcome,
    note: str | None,
    labels: object,
    version: int | None,
) -> Case:
    """Keep what a case came to the second time; its own outcome and labels stay.

    Raises:
        CaseConflict: the case was changed since it was claimed.
        ConfigurationError: labels were given.
    """
    case = book.case(number)
    if version not in (None, case.version):
        raise CaseConflict(f"case {number} is at version {case.version}, not {version}.")
    if labels:
        raise ConfigurationError("expected no labels of a case that is judged a second time.")
    done = {"by": by, "outcome": outcome, "at": book.now, "holder": None, "lease": None}
    book.connection.execute(CASE_SECOND.update().where(CASE_SECOND.c.case == number), done)
    return book.change(case, "reviewed", by, second=outcome, note=note)


def give_back(book: CaseBook, number: int, by: str) -> Case:
    """Let somebody else judge a case the second time."""
    seen = blind(book, book.case(number), by)
    _hold(book, number, None, None)
    return msgspec.structs.replace(seen, holder=None, lease=None)


def keep(book: CaseBook, number: int, by: str, lease: int) -> Case:
    """Have a second review for another while."""
    _hold(book, number, by, book.now + lease)
    return blind(book, book.case(number), by)


def done(book: CaseBook) -> list[SecondReview]:
    """All cases that were judged twice, in order of the second time."""
    second = CASE_SECOND.c
    query = select(second.case, second.first_by, second.first, second.by, second.outcome)
    query = query.where(second.outcome.is_not(None)).order_by(second.at, second.case)
    return [SecondReview(*row) for row in book.connection.execute(query)]


def _hold(book: CaseBook, number: int, by: str | None, lease: int | None) -> None:
    mine = CASE_SECOND.update().where(CASE_SECOND.c.case == number)
    book.connection.execute(mine, {"holder": by, "lease": lease})
