"""Spikes, such as card testing: many payments to review or declined with one host in a short time.

They become one case of the host. Cases of cards that have such a payment are joined to it: they are
worked on and closed with it. Payments whose card has no case go into it at once, so that hundreds
of tried cards are no hundreds of cases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, select

from shroff.act.book import MINUTE_US, CaseBook, payment_of
from shroff.act.case import Case, CasePayment, CaseSpike
from shroff.act.tables import CASE_PAYMENTS, CASE_SIGHTINGS
from shroff.act.traits import drop_loose_traits
from shroff.collect.payment import Value
from shroff.errors import ConfigurationError

_RULE: Final = re.compile(
    r"(?P<column>[^=]{1,200})=(?P<payments>[0-9]{1,5})/(?P<minutes>[0-9]{1,4})m"
)
Sighted = tuple[CaseSpike, str]
"""A rule, and the value of its column that many payments share."""


def read_spike(text: str) -> CaseSpike:
    """A rule as people write it.

    >>> read_spike("host_id=20/10m")
    CaseSpike(column='host_id', payments=20, minutes=10)

    Raises:
        ConfigurationError: it is written otherwise.
    """
    found = _RULE.fullmatch(text)
    if found is None or int(found["payments"]) < 2 or int(found["minutes"]) < 1:
        raise ConfigurationError(
            "expected a spike as COLUMN=PAYMENTS/MINUTESm, such as `host_id=20/10m`, with 2 "
            "payments or more."
        )
    return CaseSpike(
        column=found["column"], payments=int(found["payments"]), minutes=int(found["minutes"])
    )


def open_group(
    book: CaseBook, rules: Sequence[CaseSpike], values: Mapping[str, Value]
) -> Case | None:
    """The open case of the first rule that has one for a payment."""
    for rule in rules:
        if (subject := values.get(rule.column)) is not None:
            case = book.open_case(rule.column, str(subject))
            if case is not None:
                return case
    return None


def sight(
    book: CaseBook, rules: Sequence[CaseSpike], values: Mapping[str, Value], payment: CasePayment
) -> Sighted | None:
    """Note a payment, and return the first rule that it fulfils, if any."""
    for rule in rules:
        if (value := values.get(rule.column)) is None:
            continue
        subject = str(value)
        row = {name: getattr(payment, name) for name in CasePayment.__struct_fields__}
        book.connection.execute(
            CASE_SIGHTINGS.insert(), row | {"kind": rule.column, "subject": subject}
        )
        since = payment.at - rule.minutes * MINUTE_US
        old = (CASE_SIGHTINGS.c.kind == rule.column, CASE_SIGHTINGS.c.at <= since)
        gone = book.connection.scalars(select(CASE_SIGHTINGS.c.payment_id).where(*old)).all()
        book.connection.execute(CASE_SIGHTINGS.delete().where(*old))
        drop_loose_traits(book, gone)
        same = _same(rule.column, subject)
        query = select(CASE_SIGHTINGS.c.payment_id).where(*same).limit(rule.payments)
        if len(book.connection.execute(query).all()) == rule.payments:
            return rule, subject
    return None


def take_sighted(book: CaseBook, group: Case) -> None:
    """Move what was sighted of a case's subject into it: payments, or the cases that have them."""
    same = _same(group.kind, group.subject)
    rows = book.connection.execute(select(CASE_SIGHTINGS).where(*same)).mappings().all()
    book.connection.execute(CASE_SIGHTINGS.delete().where(*same))
    payments = [payment_of(row) for row in rows]
    ids = [one.payment_id for one in payments]
    query = select(CASE_PAYMENTS.c.payment_id, CASE_PAYMENTS.c.case)
    held: dict[str, int] = {}
    for part in book.parts(ids):
        found = book.connection.execute(query.where(CASE_PAYMENTS.c.payment_id.in_(part)))
        held |= dict(map(tuple, found))
    for one in payments:
        if one.payment_id not in held:
            book.put(group.id, one)
    for number in sorted({*held.values()} - {group.id}):
        case = book.case(number)
        if case.status == "open" and case.parent is None:
            join(book, case, group)


def join(book: CaseBook, case: Case, group: Case) -> Case:
    """Join an open case to another: it is worked on there, whoever had it."""
    gone: dict[str, Any] = dict.fromkeys(("holder", "lease", "wake"))
    told = f"into case {group.id}, of {group.kind} {group.subject}"
    return book.change(case, "joined", "shroff", parent=group.id, note=told, **gone)


def _same(kind: str, subject: str) -> tuple[ColumnElement[bool], ...]:
    return CASE_SIGHTINGS.c.kind == kind, CASE_SIGHTINGS.c.subject == subject
