"""What is known around a case: past cases like it, who shares a value with it, and timelines."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import select

from shroff.act.book import CaseBook, payment_of
from shroff.act.case import Case, CasePayment
from shroff.act.similar import CaseLink, SimilarCase, links, shared_traits, similar_cases
from shroff.act.tables import CASE_PAYMENTS, CASE_TRAITS
from shroff.act.traits import Trait

MAX_TIMELINE: Final = 100
_MAX_TIMELINES: Final = 3


class CaseTimeline(msgspec.Struct, frozen=True, kw_only=True):
    """Payments in cases, of this one and of past ones, that share a value: the newest 100, the
    oldest first.
    """

    kind: str
    value: str
    payments: tuple[CasePayment, ...]


class CaseContext(msgspec.Struct, frozen=True, kw_only=True):
    """What is known around a case.

    Attributes:
        reasons_hidden: nobody may see why its payments were suspicious until it is decided.
        timelines: of its subject, and of the values that it shares with other cases.
    """

    reasons_hidden: bool
    similar: tuple[SimilarCase, ...]
    links: tuple[CaseLink, ...]
    timelines: tuple[CaseTimeline, ...]


def context(book: CaseBook, case: Case, *, hidden: bool, blind: bool) -> CaseContext:
    """What is known around a case.

    Args:
        hidden: its reasons are.
        blind: who looks judges it a second time, and sees no label.
    """
    own = shared_traits(book, case)
    found = links(book, case, own)
    shown = [Trait(case.kind, case.subject), *(Trait(one.kind, one.value) for one in found)]
    return CaseContext(
        reasons_hidden=hidden,
        similar=tuple(similar_cases(book, case, own, reasons=not hidden)),
        links=tuple(found),
        timelines=tuple(_timeline(book, one, blind=blind) for one in shown[: 1 + _MAX_TIMELINES]),
    )


def _timeline(book: CaseBook, trait: Trait, *, blind: bool) -> CaseTimeline:
    query = (
        select(CASE_PAYMENTS)
        .join(CASE_TRAITS, CASE_TRAITS.c.payment_id == CASE_PAYMENTS.c.payment_id)
        .where(CASE_TRAITS.c.kind == trait.kind, CASE_TRAITS.c.value == trait.value)
        .order_by(CASE_TRAITS.c.at.desc())
        .limit(MAX_TIMELINE)
    )
    paid = [payment_of(row) for row in book.connection.execute(query).mappings()]
    paid.sort(key=lambda one: (one.at, one.payment_id))
    if blind:
        paid = [msgspec.structs.replace(one, fraud=None) for one in paid]
    return CaseTimeline(kind=trait.kind, value=trait.value, payments=tuple(paid))
