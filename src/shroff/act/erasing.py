"""Erase whose cases are: who it is, payments, labels, notes and traits; the steps stay."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from shroff.act.book import CaseBook
from shroff.act.intake import weigh_again
from shroff.act.tables import CASE_NOTES, CASE_PAYMENTS, CASE_SIGHTINGS, CASE_TRAITS, CASES

ERASED: Final = (CASE_PAYMENTS, CASE_SIGHTINGS, CASE_NOTES, CASE_TRAITS)
"""Tables whose files must be rewritten afterwards."""
MAX_READ: Final = 1_000


def erase_subject(
    book: CaseBook, kind: str, subjects: Collection[str], payment_ids: Sequence[str], by: str
) -> int:
    """Erase the cases of a subject, and payments in other cases, which are ranked anew; returns how
    many of its cases there were.
    """
    own = (CASES.c.kind == kind, CASES.c.subject.in_(subjects))
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
