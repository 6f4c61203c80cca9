"""Cases in one transaction of the control database: read, changed, and every step written down."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from shroff.act.case import Case, CaseEvent, CasePayment, CaseQueue, Outcome, Step
from shroff.act.tables import (
    CASE_EVENTS,
    CASE_LABELS,
    CASE_NOTES,
    CASE_PAYMENTS,
    CASE_QUEUES,
    CASE_SECOND,
    CASE_SIGHTINGS,
    CASE_TRAITS,
    CASES,
)
from shroff.control.database import Control, in_turn
from shroff.control.history import link
from shroff.errors import BrokenChain, NotFound

T = TypeVar("T")
USUAL: Final = CaseQueue(name="review")
"""Where cases wait that no other queue takes."""
MAX_NUMBER: Final = 2**63 - 1
"""No case has a larger number: no database holds it."""
_PART_IDS: Final = 500
MINUTE_US: Final = 60_000_000
# made once: making a statement takes longer than SQLite takes to answer it
_BY_NUMBER: Final = select(CASES).where(CASES.c.id == bindparam("id"))
_OPEN: Final = select(CASES).where(
    CASES.c.kind == bindparam("kind"),
    CASES.c.subject == bindparam("subject"),
    CASES.c.status == "open",
)
_UPDATE: Final = CASES.update().where(CASES.c.id == bindparam("_number"))
_PAYMENT: Final = select(CASE_PAYMENTS).where(CASE_PAYMENTS.c.payment_id == bindparam("id"))
_OUT: Final = CASE_PAYMENTS.delete().where(CASE_PAYMENTS.c.payment_id == bindparam("id"))
_OUT_TRAITS: Final = CASE_TRAITS.delete().where(CASE_TRAITS.c.payment_id == bindparam("id"))
_IN: Final = CASE_PAYMENTS.insert()
_IN_TRAITS: Final = CASE_TRAITS.insert()
_decode_event: Final = msgspec.json.Decoder(CaseEvent).decode


class CaseBook:
    """Cases as one transaction sees and changes them, at one moment."""

    def __init__(self, connection: Connection, now: int) -> None:
        self.connection = connection
        self.now = now
        # known not to be there; see `foresee`
        self._loose = set[str]()
        self._without_traits = set[str]()
        self._without_case = set[tuple[str, str]]()
        self._last: list[CaseEvent] | None = None

    def foresee(self, payment_ids: Sequence[str], subjects: Collection[tuple[str, str]]) -> None:
        """Ask in few queries which of these payments, and of these subjects by kind, are in no
        case: then the book need not ask for each. It holds as long as the book, where nobody else
        changes cases meanwhile (`writing`).
        """
        traits = CASE_TRAITS.c.payment_id
        self._loose |= {*payment_ids} - self.cases_of(payment_ids).keys()
        self._without_traits |= {*payment_ids}
        for part in self.parts(payment_ids):
            found = self.connection.scalars(select(traits).where(traits.in_(part)).distinct())
            self._without_traits.difference_update(found)
        self._without_case |= {*subjects}
        for kind in sorted({kind for kind, _ in subjects}):
            for part in self.parts([value for one, value in subjects if one == kind]):
                own = (CASES.c.kind == kind, CASES.c.subject.in_(part), CASES.c.status == "open")
                found = self.connection.scalars(select(CASES.c.subject).where(*own))
                self._without_case.difference_update((kind, value) for value in found)

    def case(self, number: int) -> Case:
        """A case as it is now.

        Raises:
            NotFound: there is none.
        """
        found = self._one(_BY_NUMBER, {"id": number}) if 0 < number <= MAX_NUMBER else None
        if found is None:
            raise NotFound("there is no case with this number.")
        return found

    def cases(
        self, *conditions: ColumnElement[bool], limit: int, after: tuple[float, int] | None = None
    ) -> list[Case]:
        """Cases that meet conditions, those most worth their time first; `after` is the worth and
        the number of one before.
        """
        query = select(CASES).where(*conditions)
        if after is not None:
            worth, number = after
            query = query.where(
                (CASES.c.worth < worth) | ((CASES.c.worth == worth) & (CASES.c.id > number))
            )
        query = query.order_by(CASES.c.worth.desc(), CASES.c.id).limit(limit)
        return [self._as_now(row) for row in self.connection.execute(query).mappings()]

    def numbers(self, *conditions: ColumnElement[bool]) -> set[int]:
        """The numbers of all cases that meet conditions."""
        return set(self.connection.scalars(select(CASES.c.id).where(*conditions)))

    def open_case(self, kind: str, subject: str) -> Case | None:
        """The open case of a subject."""
        if (kind, subject) in self._without_case:
            return None
        return self._one(_OPEN, {"kind": kind, "subject": subject})

    def payments(self, number: int) -> list[CasePayment]:
        """The payments of a case and of those joined to it, the oldest first."""
        joined = select(CASES.c.id).where(CASES.c.parent == number)
        own = (CASE_PAYMENTS.c.case == number) | CASE_PAYMENTS.c.case.in_(joined)
        query = (
            select(CASE_PAYMENTS)
            .where(own)
            .order_by(CASE_PAYMENTS.c.at, CASE_PAYMENTS.c.payment_id)
        )
        return [payment_of(row) for row in self.connection.execute(query).mappings()]

    def payment(self, payment_id: str) -> tuple[int, CasePayment] | None:
        """The case of a payment and the payment; None where it is in none."""
        if payment_id in self._loose:
            return None
        row = self.connection.execute(_PAYMENT, {"id": payment_id}).mappings().one_or_none()
        return None if row is None else (int(row["case"]), payment_of(row))

    def cases_of(self, payment_ids: Sequence[str]) -> dict[str, int]:
        """The number of the case of each payment that is in one."""
        columns, found = CASE_PAYMENTS.c, dict[str, int]()
        for part in self.parts(payment_ids):
            query = select(columns.payment_id, columns.case).where(columns.payment_id.in_(part))
            found.update((name, number) for name, number in self.connection.execute(query))
        return found

    def leading_payments(self, numbers: Sequence[int]) -> dict[int, str]:
        """Of each case the payment that was not approved and is most probably fraud, the newest of
        several, also where a case was joined to it.
        """
        paid, number = CASE_PAYMENTS.c, func.coalesce(CASES.c.parent, CASES.c.id)
        order = (func.coalesce(paid.probability, 0.0).desc(), paid.at.desc(), paid.payment_id)
        place = func.row_number().over(partition_by=number, order_by=order)
        ranked = (
            select(number.label("number"), paid.payment_id, place.label("place"))
            .join_from(CASES, CASE_PAYMENTS, paid.case == CASES.c.id)
            .where(paid.action != "approve")
        )
        found = dict[int, str]()
        for part in self.parts(numbers):
            own = ranked.where(CASES.c.id.in_(part) | CASES.c.parent.in_(part)).subquery()
            query = select(own.c.number, own.c.payment_id).where(own.c.place == 1)
            found.update((one, name) for one, name in self.connection.execute(query))
        return found

    def put(self, number: int, payment: CasePayment) -> None:
        """Add a payment to a case, or replace it there."""
        values = msgspec.structs.asdict(payment)
        if payment.payment_id not in self._loose:
            self.connection.execute(_OUT, {"id": payment.payment_id})
        self._loose.discard(payment.payment_id)
        self.connection.execute(_IN, values | {"case": number})

    def put_traits(self, payment: CasePayment, traits: Sequence[Mapping[str, Any]]) -> None:
        """Replace the traits of a payment by these, each a kind and a value."""
        if payment.payment_id not in self._without_traits:
            self.connection.execute(_OUT_TRAITS, {"id": payment.payment_id})
        if traits:
            self._without_traits.discard(payment.payment_id)
            own = {"payment_id": payment.payment_id, "at": payment.at}
            self.connection.execute(_IN_TRAITS, [{**one, **own} for one in traits])

    def open(self, kind: str, subject: str, queue: CaseQueue, fields: dict[str, Any]) -> Case:
        """A new case, in a queue."""
        values = {
            "kind": kind,
            "subject": subject,
            "queue": queue.name,
            "status": "open",
            "version": 0,
            "opened": self.now,
            "due": self.now + queue.sla_minutes * MINUTE_US,
            "level": 0,
        }
        made = self.connection.execute(CASES.insert(), values | fields).inserted_primary_key
        number = int(made[0]) if made else 0
        self._without_case.discard((kind, subject))
        return self.change(self.case(number), "opened", "shroff")

    def update(self, case: Case, fields: dict[str, Any]) -> None:
        """Change fields of a case without a step of its history."""
        if fields.get("status") == "open":
            self._without_case.discard((case.kind, case.subject))
        self.connection.execute(_UPDATE, {"_number": case.id, **fields})

    def change(self, case: Case, step: Step, by: str, **fields: Any) -> Case:
        """Take a step of a case: change its fields, and write the step down.

        A note alone leaves the version as it is: it is no news for who decides the case.

        Fields of the event are `note`, `outcome`, `to` and `until`, and `second`, an outcome that
        is not the case's; others are the case's own.
        """
        told: dict[str, Any] = {
            name: fields.pop(name) for name in ("note", "to", "until") if name in fields
        }
        if outcome := fields.pop("second", fields.get("outcome")):
            told["outcome"] = outcome
        version = case.version + (step != "noted")
        self.update(case, fields | {"version": version})
        # only this book takes steps while it is open
        before = self.events(limit=1) if self._last is None else self._last
        note, number = told.pop("note", None), before[-1].id + 1 if before else 1
        event = CaseEvent(
            id=number,
            case=case.id,
            version=version,
            at=self.now,
            by=by,
            step=step,
            note_digest=None if note is None else self._keep_note(case.id, number, note),
            **told,
        )
        chained = msgspec.structs.replace(event, chain=link(before, event))
        content = msgspec.json.encode(chained).decode()
        self.connection.execute(
            CASE_EVENTS.insert(), {"id": event.id, "case": case.id, "content": content}
        )
        self._last = [chained]
        return self.case(case.id)

    def close(self, case: Case, by: str, outcome: Outcome, note: str | None) -> Case:
        """Close a case, whoever has it, and those that were joined to it."""
        gone: dict[str, Any] = dict.fromkeys(("holder", "lease", "wake"))
        joined = (CASES.c.parent == case.id, CASES.c.status == "open")
        for one in self.connection.scalars(select(CASES.c.id).where(*joined)).all():
            self.close(self.case(one), by, outcome, f"with case {case.id}")
        return self.change(
            case,
            "closed",
            by,
            status="closed",
            outcome=outcome,
            closed=self.now,
            note=note,
            **gone,
        )

    def events(
        self, number: int | None = None, *, after: int = 0, limit: int | None = None
    ) -> list[CaseEvent]:
        """The steps of a case, or of all cases, the oldest first, without their notes.

        Args:
            limit: how many of the last ones.

        Raises:
            BrokenChain: one cannot be read.
        """
        query = select(CASE_EVENTS.c.content).where(CASE_EVENTS.c.id > after)
        if number is not None:
            query = query.where(CASE_EVENTS.c.case == number)
        query = query.order_by(CASE_EVENTS.c.id.desc()).limit(limit)
        try:
            return [_decode_event(one) for one in self.connection.scalars(query)][::-1]
        except msgspec.MsgspecError:
            raise BrokenChain("the history of cases was changed: a step cannot be read.") from None

    def told(self, number: int) -> list[CaseEvent]:
        """The steps of a case with their notes, those that were not erased."""
        query = select(CASE_NOTES.c.event, CASE_NOTES.c.note).where(CASE_NOTES.c.case == number)
        notes = dict(map(tuple, self.connection.execute(query)))
        return [msgspec.structs.replace(one, note=notes.get(one.id)) for one in self.events(number)]

    def notes(self) -> Iterator[tuple[int, str, str]]:
        """The step, the text and the digest of every note that was not erased."""
        query = select(CASE_NOTES.c.event, CASE_NOTES.c.salt, CASE_NOTES.c.note)
        for event, salt, note in self.connection.execute(query):
            yield event, note, _digest(salt, note)

    def forget(self, case: Case, by: str) -> None:
        """Erase whose a case is: subject, payments, labels and notes; its steps stay."""
        self.drop([one.payment_id for one in self.payments(case.id)])
        self.connection.execute(CASE_NOTES.delete().where(CASE_NOTES.c.case == case.id))
        self.undraw(case.id)
        gone = {"status": "closed", "closed": case.closed or self.now, "holder": None}
        self.change(case, "forgotten", by, subject=f"forgotten {case.id}", **gone)

    def undraw(self, number: int) -> None:
        """Let nobody judge a case a second time who has not done so."""
        waits = (CASE_SECOND.c.case == number, CASE_SECOND.c.outcome.is_(None))
        self.connection.execute(CASE_SECOND.delete().where(*waits))

    def holding(self, payment_ids: Sequence[str]) -> set[int]:
        """The cases that payments are in, and those that these were joined to."""
        found = set[int]()
        for part in self.parts(payment_ids):
            query = select(CASES.c.id, CASES.c.parent).where(
                CASES.c.id == CASE_PAYMENTS.c.case, CASE_PAYMENTS.c.payment_id.in_(part)
            )
            for row in self.connection.execute(query):
                found.update(number for number in row if number is not None)
        return found

    def drop(self, payment_ids: Sequence[str]) -> None:
        """Erase payments, and their labels that wait, from all cases."""
        for table in (CASE_LABELS, CASE_PAYMENTS, CASE_SIGHTINGS, CASE_TRAITS):
            for part in self.parts(payment_ids):
                self.connection.execute(table.delete().where(table.c.payment_id.in_(part)))

    def parts(self, ids: Sequence[T]) -> Iterator[Sequence[T]]:
        """Ids in parts that one statement can name."""
        for start in range(0, len(ids), _PART_IDS):
            yield ids[start : start + _PART_IDS]

    def _keep_note(self, case: int, event: int, note: str) -> str:
        salt = token_hex(16)
        values = {"event": event, "case": case, "salt": salt, "note": note}
        self.connection.execute(CASE_NOTES.insert(), values)
        return _digest(salt, note)

    def queues(self) -> list[CaseQueue]:
        """The queues in their order, and last the one that takes every case."""
        query = select(CASE_QUEUES).order_by(CASE_QUEUES.c.place, CASE_QUEUES.c.name)
        own = [
            CaseQueue(
                name=row["name"],
                condition=row["condition"],
                sla_minutes=row["sla_minutes"],
                minutes=row["minutes"],
                second_review=row["second_review"] or 0.0,
                hide_reasons=row["hide_reasons"] or 0.0,
            )
            for row in self.connection.execute(query).mappings()
        ]
        return own if any(not one.condition for one in own) else [*own, USUAL]

    def set_queues(self, queues: Sequence[CaseQueue]) -> None:
        """Replace all queues."""
        self.connection.execute(CASE_QUEUES.delete())
        for place, one in enumerate(queues):
            values = msgspec.structs.asdict(one) | {"place": place}
            self.connection.execute(CASE_QUEUES.insert(), values)

    def label(self, payment_id: str, event: str, by: str, *, fraud: bool) -> None:
        """Put a label into the outbox, once."""
        known = select(func.count()).where(
            CASE_LABELS.c.payment_id == payment_id, CASE_LABELS.c.event == event
        )
        if not self.connection.scalar(known):
            values = {"payment_id": payment_id, "event": event, "fraud": fraud, "by": by}
            self.connection.execute(CASE_LABELS.insert(), values | {"sent": False})

    def _one(self, query: Select[Any], asked: dict[str, Any]) -> Case | None:
        row = self.connection.execute(query, asked).mappings().one_or_none()
        return None if row is None else self._as_now(row)

    def _as_now(self, row: Any) -> Case:
        """A row as a case; a lease or a snooze that is over has gone."""
        case = Case(**row)
        if case.lease is not None and case.lease <= self.now:
            case = msgspec.structs.replace(case, holder=None, lease=None)
        if case.wake is not None and case.wake <= self.now:
            case = msgspec.structs.replace(case, wake=None)
        return case


@contextmanager
def reading(control: Control, now: int) -> Iterator[CaseBook]:
    """Cases to read.

    Raises:
        ControlUnavailable: the database does not answer.
    """
    with control.transaction("read the cases") as connection:
        yield CaseBook(connection, now)


@contextmanager
def writing(control: Control, now: int) -> Iterator[CaseBook]:
    """Cases to change, while nobody else changes any: all of it is kept, or nothing.

    Raises:
        ControlUnavailable: the database does not answer.
    """
    with control.turn, control.transaction("change a case") as connection:
        in_turn(connection)
        yield CaseBook(connection, now)


def _digest(salt: str, note: str) -> str:
    return sha256(f"{salt}{note}".encode()).hexdigest()


def payment_of(row: Any) -> CasePayment:
    """The payment in a row of a table that has all its fields."""
    return CasePayment(**{name: row[name] for name in CasePayment.__struct_fields__})
