"""The outbox: labels that decisions gave, on their way to the ledger.

A label may wait a while, within which its decision can be undone. It is taken before it is sent, so
that nobody undoes what the ledger may have by now, and is sent again after a crash: it has an id.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, or_, select

from shroff.act.book import CaseBook
from shroff.act.tables import CASE_LABELS


class CaseLabel(NamedTuple):
    """A label that a decision gave, to be sent to the ledger."""

    id: int
    payment_id: str
    event: str
    fraud: bool
    by: str


_LABEL = (
    CASE_LABELS.c.id,
    CASE_LABELS.c.payment_id,
    CASE_LABELS.c.event,
    CASE_LABELS.c.fraud,
    CASE_LABELS.c.by,
)


def label_event(case: int, version: int) -> str:
    """The id of the labels that a case's decision gave, at the version that it made."""
    return f"case-{case}-{version}"


def waiting_labels(book: CaseBook, limit: int) -> list[CaseLabel]:
    """Labels that the ledger does not have yet, the oldest first."""
    query = select(*_LABEL).where(~CASE_LABELS.c.sent).order_by(CASE_LABELS.c.id).limit(limit)
    return [CaseLabel(*row) for row in book.connection.execute(query)]


def is_due(book: CaseBook) -> bool:
    """Whether a label is to be sent now."""
    query = select(CASE_LABELS.c.id).where(*_due(book.now)).limit(1)
    return book.connection.scalar(query) is not None


def take_labels(book: CaseBook, limit: int) -> list[CaseLabel]:
    """Labels to be sent now, the oldest first; whoever takes them sends them."""
    query = select(*_LABEL).where(*_due(book.now)).order_by(CASE_LABELS.c.id).limit(limit)
    found = [CaseLabel(*row) for row in book.connection.execute(query)]
    own = CASE_LABELS.c.id.in_([one.id for one in found])
    book.connection.execute(CASE_LABELS.update().where(own), {"taken": True})
    return found


def mark_sent(book: CaseBook, label: CaseLabel) -> None:
    """The ledger has a label."""
    own = CASE_LABELS.c.id == label.id
    book.connection.execute(CASE_LABELS.update().where(own), {"sent": True})


def hold_labels(book: CaseBook, event: str, until: int) -> None:
    """Let the labels of a decision wait until a moment."""
    own = CASE_LABELS.c.event == event
    book.connection.execute(CASE_LABELS.update().where(own), {"hold": until})


def withdraw_labels(book: CaseBook, event: str) -> bool:
    """Take the labels of a decision back; False where one may have been sent."""
    own = CASE_LABELS.c.event == event
    if book.connection.scalar(select(CASE_LABELS.c.id).where(own, CASE_LABELS.c.taken).limit(1)):
        return False
    book.connection.execute(CASE_LABELS.delete().where(own))
    return True


def _due(now: int) -> tuple[ColumnElement[bool], ...]:
    return ~CASE_LABELS.c.sent, or_(CASE_LABELS.c.hold.is_(None), CASE_LABELS.c.hold <= now)
