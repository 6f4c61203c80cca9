"""Traits: by what payments of cases resemble each other.

A trait is the value of a column that may name somebody or something (a host, an e-mail, a device),
or the code of a reason. Traits are kept beside the payments of cases, so that finding who shares
one reads no ledger, and are erased with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import func, select

from shroff.act.book import CaseBook
from shroff.act.case import CasePayment
from shroff.act.tables import CASE_PAYMENTS, CASE_SIGHTINGS, CASE_TRAITS, CASES
from shroff.collect.payment import Value

REASON: Final = ""
"""The kind of codes of reasons: no column has this name."""
MAX_SHARED: Final = 50
"""Cases of one trait that are looked at, the newest ones."""
_MAX_PAYMENTS: Final = 200
_MAX_CHARACTERS: Final = 1_024


class Trait(NamedTuple):
    """A value of a column, or a code of a reason."""

    kind: str
    value: str


def traits_of(
    values: Mapping[str, Value], columns: Iterable[str], reasons: Iterable[str]
) -> list[Trait]:
    """The traits of a payment, each once."""
    named = [Trait(name, str(value)) for name in columns if (value := values.get(name)) is not None]
    coded = [Trait(REASON, code) for code in reasons]
    return [*dict.fromkeys(one for one in (*named, *coded) if len(one.value) <= _MAX_CHARACTERS)]


def keep_traits(book: CaseBook, payment: CasePayment, traits: Sequence[Trait]) -> None:
    """Keep the traits of a payment."""
    book.put_traits(payment, [one._asdict() for one in traits])


def drop_loose_traits(book: CaseBook, payment_ids: Sequence[str]) -> None:
    """Erase the traits of those payments that are in no case, and that no spike has sighted."""
    for part in book.parts(payment_ids):
        book.connection.execute(
            CASE_TRAITS.delete().where(
                CASE_TRAITS.c.payment_id.in_(part),
                CASE_TRAITS.c.payment_id.not_in(select(CASE_PAYMENTS.c.payment_id)),
                CASE_TRAITS.c.payment_id.not_in(select(CASE_SIGHTINGS.c.payment_id)),
            )
        )


def traits(book: CaseBook, payment_ids: Sequence[str]) -> dict[Trait, int]:
    """How many of some payments have each of their traits, those of most payments first."""
    found: dict[Trait, int] = {}
    for part in book.parts(payment_ids):
        query = select(CASE_TRAITS.c.kind, CASE_TRAITS.c.value, func.count())
        query = query.where(CASE_TRAITS.c.payment_id.in_(part))
        query = query.group_by(CASE_TRAITS.c.kind, CASE_TRAITS.c.value)
        for kind, value, count in book.connection.execute(query):
            trait = Trait(kind, value)
            found[trait] = found.get(trait, 0) + int(count)
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def sharing(book: CaseBook, trait: Trait) -> list[int]:
    """The newest cases that have a payment with a trait, those joined to another as that one; of
    its newest 200 payments, at most 50 cases.
    """
    payments = (
        select(CASE_TRAITS.c.payment_id)
        .where(CASE_TRAITS.c.kind == trait.kind, CASE_TRAITS.c.value == trait.value)
        .order_by(CASE_TRAITS.c.at.desc())
        .limit(_MAX_PAYMENTS)
        .subquery()
    )
    number = func.coalesce(CASES.c.parent, CASES.c.id)
    query = (
        select(number)
        .join(CASE_PAYMENTS, CASE_PAYMENTS.c.case == CASES.c.id)
        .join(payments, payments.c.payment_id == CASE_PAYMENTS.c.payment_id)
        .distinct()
        .order_by(number.desc())
        .limit(MAX_SHARED)
    )
    return [*map(int, book.connection.scalars(query))]
