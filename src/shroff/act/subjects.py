"""What cases hold of a subject, and erasing it: who it is, payments, labels, notes and traits; the
steps stay.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import ColumnElement

from shroff.act.book import CaseBook
from shroff.act.case import Case, CaseEvent, CasePayment
from shroff.act.intake import weigh_again
from shroff.act.tables import (
    CASE_LABELS,
    CASE_NOTES,
    CASE_PAYMENTS,
    CASE_SIGHTINGS,
    CASE_TRAITS,
    CASES,
    stored,
)

ERASED: Final = (CASES, CASE_PAYMENTS, CASE_SIGHTINGS, CASE_NOTES, CASE_TRAITS, CASE_LABELS)
"""Tables whose files must be rewritten afterwards."""
MAX_READ: Final = 1_000


def held(
    book: CaseBook, kinds: Collection[str], subjects: Collection[str], payment_ids: Sequence[str]
) -> list[tuple[Case, list[CasePayment], list[CaseEvent]]]:
    """The cases of a subject, and others that have payments of theirs: each with these payments and
    all its steps and notes, by number.
    """
    theirs, own = set(payment_ids), book.numbers(*_own(kinds, subjects))
    return [
        (
            book.case(number),
            [one for one in book.payments(number) if number in own or one.payment_id in theirs],
            book.told(number),
        )
        for number in sorted(own | book.holding(payment_ids))
    ]


def erase(
    book: CaseBook, kind: str, subjects: Collection[str], payment_ids: Sequence[str], by: str
) -> int:
    """Erase the cases of a subject, and payments in other cases, which are ranked anew; returns how
    many of its cases there were.
    """
    own = _own([kind], subjects)
    many, shrunk = 0, book.holding(payment_ids)
    # a case that was forgotten is of nobody any more, so the next part has others
    while found := book.cases(*own, limit=MAX_READ):
        for case in found:
            book.forget(case, by)
        many += len(found)
        shrunk |= {one.parent for one in found if one.parent is not None}
        shrunk -= {one.id for one in found}
    book.drop(payment_ids)
    weigh_again(book, shrunk, by)
    return many


def _own(
    kinds: Collection[str], subjects: Collection[str]
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions that the cases of a subject meet."""
    return CASES.c.kind.in_(kinds), CASES.c.subject.in_([*map(stored, subjects)])
