"""From the ledger to cases: payments to review are grouped by subject, and cases follow events.

A case is opened by a payment that the policy wants reviewed. Later payments of its subject join it,
whatever was decided of them, and it is ranked anew. It closes by itself once every payment that was
to be reviewed has a label, or was refunded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from sqlalchemy import select

from shroff.act.book import MINUTE_US, CaseBook, writing
from shroff.act.case import Case, CasePayment, CaseQueue, CaseSpike, Outcome
from shroff.act.queues import KINDS, chooser
from shroff.act.spikes import join, open_group, sight, take_sighted
from shroff.act.tables import CASE_MARK, stored
from shroff.act.traits import keep_traits, traits_of
from shroff.clock import Clock, system_time
from shroff.collect.payment import Value
from shroff.control.database import Control
from shroff.decide import Action
from shroff.errors import ConfigurationError
from shroff.ledger import StoredEntry
from shroff.ledger.answer import later_record
from shroff.package import Bundle

REVIEWED: Final[tuple[Action, ...]] = ("review",)
SUSPICIOUS: Final[tuple[Action, ...]] = ("review", "decline")
"""Decisions that make a spike."""
REFUNDED: Final = "refunded"
"""The result that ends a case: nobody needs to look any more."""
_PART_RECORDS: Final = 1_000
_NONE: Final = "no subject"
_SEVEREST_FIRST: Final = ("decline", "review", "challenge", "approve")


class _Values(msgspec.Struct):
    values: dict[str, Value]


class _Reason(msgspec.Struct):
    code: str


class _Answer(msgspec.Struct, frozen=True):
    reasons: tuple[_Reason, ...] = ()


class _Decision(msgspec.Struct):
    """What is read of a payment's record."""

    payment: _Values
    probability: float | None
    action: str
    answer: _Answer = _Answer()


_decode: Final = msgspec.json.Decoder(_Decision).decode


class Queues:
    """The queues, read once for many payments: nobody changes them within a transaction."""

    def __init__(self, queues: list[CaseQueue]) -> None:
        self._named = {one.name: one for one in queues}
        self.choose = chooser(tuple(queues))

    def of(self, case: Case) -> CaseQueue:
        """The queue that a case is in; where it was removed, the one that would take it now."""
        found = self._named.get(case.queue)
        return found or self.choose({name: getattr(case, name) for name in KINDS})


class CaseIntake:
    """Puts a ledger's payments into cases, each record once, however often it runs.

    Args:
        url: the control database.
        ledger: the name of the ledger, see `Ledger.identity`.
        bundle: whose schema names the amount, and by default the card.
        by: the column by which payments are grouped, such as an account or a host.
        actions: which decisions open a case.
        spikes: which payments that share a value are one case of it; the first rule counts.

    Raises:
        ConfigurationError: there is no such column.
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(
        self,
        url: str,
        ledger: str,
        bundle: Bundle,
        *,
        by: str | None = None,
        actions: Collection[Action] = REVIEWED,
        spikes: Sequence[CaseSpike] = (),
        clock: Clock = system_time,
    ) -> None:
        found = by or bundle.card_column
        if found is None or found not in bundle.schema.scales:
            raise ConfigurationError(
                "expected a column that payments are grouped by: name one with `--by COLUMN`."
            )
        for one in spikes:
            if one.column not in bundle.schema.scales or one.column == found:
                raise ConfigurationError(
                    f"expected a spike of another column of the schema than `{found}`."
                )
        self._spikes = tuple(spikes)
        self._control = Control(url)
        self._ledger = ledger
        self._kind = found
        self._amount = bundle.schema.amount
        self._alike = tuple({*bundle.schema.identifying, found})
        self._actions = frozenset(actions)
        self._clock = clock

    def mark(self) -> int:
        """Up to which record of the ledger payments are in cases."""
        query = select(CASE_MARK.c.seq).where(CASE_MARK.c.ledger == self._ledger)
        with self._control.transaction("read the cases") as connection:
            return int(connection.scalar(query) or 0)

    def take(self, entries: Iterable[StoredEntry]) -> int:
        """Put records, in the order of the ledger, into cases; returns how many were new.

        What was taken is kept, also where reading the others fails.
        """
        rest, taken = iter(entries), 0
        while part := list(islice(rest, _PART_RECORDS)):
            taken += self._take(part)
        return taken

    def _take(self, part: list[StoredEntry]) -> int:
        with writing(self._control, self._clock()) as book:
            before = self._moved(book, part[-1].seq)
            new = [entry for entry in part if entry.seq > before]
            queues = Queues(book.queues())
            # what nobody may read any more is in no case
            read = {
                entry.seq: _decode(entry.body)
                for entry in new
                if entry.kind == "payment" and entry.forgotten is None
            }
            self._foresee(book, new, read)
            for entry in new:
                if entry.seq in read:
                    self._payment(book, entry, read[entry.seq], queues)
                elif entry.kind in ("label", "result"):
                    self._told(book, entry, queues)
        return len(new)

    def _moved(self, book: CaseBook, seq: int) -> int:
        """Move the mark forward, and return where it was."""
        own = CASE_MARK.c.ledger == self._ledger
        before = book.connection.scalar(select(CASE_MARK.c.seq).where(own))
        if before is None:
            book.connection.execute(CASE_MARK.insert(), {"ledger": self._ledger, "seq": seq})
        elif seq > before:
            book.connection.execute(CASE_MARK.update().where(own), {"seq": seq})
        return int(before or 0)

    def _foresee(
        self, book: CaseBook, new: list[StoredEntry], read: Mapping[int, _Decision]
    ) -> None:
        """Ask the book in few queries for what these records ask one by one."""
        kinds, subjects = [one.column for one in self._spikes], set[tuple[str, str]]()
        for entry in new:
            if (record := read.get(entry.seq)) is not None:
                values = _storable(record)
                subjects.add((self._kind, self._subject(entry, values)))
                if record.action in SUSPICIOUS or record.action in self._actions:
                    named = ((kind, values.get(kind)) for kind in kinds)
                    subjects |= {(kind, str(one)) for kind, one in named if one is not None}
        book.foresee([*{entry.payment_id for entry in new}], subjects)

    def _payment(
        self, book: CaseBook, entry: StoredEntry, record: _Decision, queues: Queues
    ) -> None:
        # what another name of the ledger brought
        if book.payment(entry.payment_id) is not None:
            return
        values, opens = _storable(record), record.action in self._actions
        payment = self._read(entry, record)
        suspicious = opens or record.action in SUSPICIOUS
        case = book.open_case(self._kind, self._subject(entry, values))
        group = open_group(book, self._spikes, values) if suspicious else None
        if case is not None:
            self._add(book, case, payment, queues, news=opens)
            if group is not None and case.parent is None:
                self._weigh(book, join(book, case, group), queues)
                self._weigh(book, group, queues)
        elif group is not None:
            self._add(book, group, payment, queues, news=False)
        elif opens:
            self._open(book, self._kind, self._subject(entry, values), [payment], queues)
        if suspicious and group is None and not (case is not None and case.parent is not None):
            self._sight(book, values, payment, queues)
        if opens or case is not None or group is not None or (suspicious and self._spikes):
            codes = [one.code for one in record.answer.reasons]
            keep_traits(book, payment, traits_of(values, self._alike, codes))

    def _read(self, entry: StoredEntry, record: _Decision) -> CasePayment:
        amount = record.payment.values.get(self._amount)
        return CasePayment(
            payment_id=entry.payment_id,
            at=entry.arrived,
            amount=float(amount) if isinstance(amount, int | float) else 0.0,
            probability=record.probability,
            action=record.action,
        )

    def _open(
        self,
        book: CaseBook,
        kind: str,
        subject: str,
        payments: list[CasePayment],
        queues: Queues,
    ) -> Case:
        fields = weigh(payments)
        queue = queues.choose(fields)
        case = book.open(kind, subject, queue, _ranked(fields, queue))
        for one in payments:
            book.put(case.id, one)
        return case

    def _add(
        self, book: CaseBook, case: Case, payment: CasePayment, queues: Queues, *, news: bool
    ) -> None:
        """Add a payment to an open case, and to what that comes to which it was joined to."""
        book.put(case.id, payment)
        fields = _ranked(_grown(case, payment), queues.of(case))
        if news:
            book.change(case, "grew", "shroff", note="another payment to review", **fields)
        else:
            # no news for who works on the case: its version stays
            book.update(case, fields)
        if case.parent is not None:
            group = book.case(case.parent)
            book.update(group, _ranked(_grown(group, payment), queues.of(group)))

    def _sight(
        self, book: CaseBook, values: dict[str, Value], payment: CasePayment, queues: Queues
    ) -> None:
        """Note a payment for the rules of spikes; the one that fulfils a rule opens its case."""
        found = sight(book, self._spikes, values, payment)
        if found is None:
            return
        rule, subject = found
        group = self._open(book, rule.column, subject, [], queues)
        take_sighted(book, group)
        fields = weigh(book.payments(group.id))
        queue = queues.choose(fields)
        due = book.now + queue.sla_minutes * MINUTE_US
        book.update(group, _ranked(fields, queue) | {"queue": queue.name, "due": due})

    def _weigh(self, book: CaseBook, case: Case, queues: Queues) -> None:
        book.update(case, _ranked(weigh(book.payments(case.id)), queues.of(case)))

    def _told(self, book: CaseBook, entry: StoredEntry, queues: Queues) -> None:
        """A label or a result of a payment that may be in a case."""
        found = book.payment(entry.payment_id)
        if found is None or entry.forgotten is not None:
            return
        number, payment = found
        said = later_record(entry).value
        refunded = entry.kind == "result" and said == REFUNDED
        if entry.kind == "result" and not refunded:
            return
        if entry.kind == "label":
            book.put(number, msgspec.structs.replace(payment, fraud=said is True))
        case = book.case(number)
        parent = None if case.parent is None else book.case(case.parent)
        for one in (case, *([] if parent is None else [parent])):
            if one.status == "open":
                self._settle(book, one, queues, refunded=refunded)

    def _settle(self, book: CaseBook, case: Case, queues: Queues, *, refunded: bool) -> None:
        """Close a case if nobody needs to look any more, or rank it anew."""
        outcome = self._outcome(book.payments(case.id), refunded=refunded)
        # an open case with an outcome was opened again by somebody, who closes it
        if outcome is None or case.outcome is not None:
            self._weigh(book, case, queues)
            return
        how = "refunded" if refunded else "labelled"
        book.close(case, "shroff", outcome, f"every payment to review is {how}")

    def _outcome(self, payments: list[CasePayment], *, refunded: bool) -> Outcome | None:
        """What a case came to, if nobody needs to look any more."""
        asked = [one for one in payments if one.action in self._actions]
        # of a spike of declined payments
        asked = asked or [one for one in payments if one.action in SUSPICIOUS]
        if any(one.fraud is None for one in asked):
            return "refunded" if refunded and len(asked) == 1 else None
        return "fraud" if any(one.fraud for one in asked) else "genuine"

    def _subject(self, entry: StoredEntry, values: dict[str, Value]) -> str:
        subject = values.get(self._kind)
        # a payment without one is a case of its own
        return f"{_NONE}: payment {entry.payment_id}" if subject is None else str(subject)


def _storable(record: _Decision) -> dict[str, Value]:
    """The values of a payment as every database keeps them."""
    values = record.payment.values.items()
    return {name: stored(value) if isinstance(value, str) else value for name, value in values}


def weigh(payments: list[CasePayment]) -> dict[str, Any]:
    """What the payments of a case come to: the fields that follow from them.

    >>> paid = CasePayment(payment_id="p", at=1, amount=80.0, probability=0.25, action="review")
    >>> weigh([paid, msgspec.structs.replace(paid, payment_id="q", fraud=False)])["expected_loss"]
    20.0
    """
    unknown = [one for one in payments if one.fraud is None]
    scored = [one.probability for one in payments if one.probability is not None]
    actions = {one.action for one in payments}
    return {
        "payments": len(payments),
        "amount": sum(one.amount for one in unknown),
        "expected_loss": sum(one.amount * (one.probability or 0.0) for one in unknown),
        "probability": max(scored, default=None),
        "action": min(actions, key=_SEVEREST_FIRST.index, default="approve"),
        "newest": max((one.at for one in payments), default=0),
    }


def weigh_again(book: CaseBook, numbers: Collection[int], by: str) -> None:
    """Rank cases that lost payments anew, and erase those that have none left."""
    queues = Queues(book.queues())
    for number in sorted(numbers):
        case, left = book.case(number), book.payments(number)
        if left:
            book.update(case, _ranked(weigh(left), queues.of(case)))
        else:
            book.forget(case, by)


def _grown(case: Case, payment: CasePayment) -> dict[str, Any]:
    """What a case comes to with one payment more."""
    one = weigh([payment])
    return {
        "payments": case.payments + 1,
        "amount": case.amount + one["amount"],
        "expected_loss": case.expected_loss + one["expected_loss"],
        "probability": max(
            (known for known in (case.probability, payment.probability) if known is not None),
            default=None,
        ),
        "action": min(case.action, payment.action, key=_SEVEREST_FIRST.index),
        "newest": max(case.newest, payment.at),
    }


def _ranked(fields: dict[str, Any], queue: CaseQueue) -> dict[str, Any]:
    return fields | {"worth": fields["expected_loss"] / queue.minutes}
