"""What is known of a case, in one place: its payments and labels as the ledger has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from shroff.act.case import Case, CaseEvent, CasePayment
from shroff.act.desk import Desk
from shroff.collect import Payment
from shroff.decide.reasons import Reason
from shroff.errors import CaseConflict, LedgerUnavailable
from shroff.ledger import Ledger, StoredEntry, unreadable
from shroff.ledger.labels import LabelRecord


class EvidenceAnswer(msgspec.Struct, frozen=True):
    """What is read of an answer, the receipt of a decision."""

    reasons: tuple[Reason, ...] = ()
    rules: tuple[str, ...] = ()
    degraded: bool = False


class EvidenceRecord(msgspec.Struct, frozen=True):
    """What is read of a payment's record."""

    payment: Payment
    answer: EvidenceAnswer
    model: str
    policy: str | None = None


class PaymentEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A payment of a case with its records.

    `entry` is None where the ledger does not have it, `record` where it was forgotten. `later` are
    its result and its labels, by number.
    """

    payment: CasePayment
    entry: StoredEntry | None
    record: EvidenceRecord | None
    later: tuple[StoredEntry, ...]


class DecisionReplay(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of one decision came to.

    `holds` says whether all of it was equal, to the bit; None where it could not be replayed, and
    `why` not. `differs` names what was not equal.
    """

    payment_id: str
    holds: bool | None
    model: str | None = None
    policy: str | None = None
    differs: tuple[str, ...] = ()
    why: str | None = None


class CaseEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A case, its steps, its payments, and what their replays came to; None: not replayed.

    `reasons_hidden` says that decisions are here without their reasons and rules, because nobody
    may see them until the case is decided.
    """

    case: Case
    steps: tuple[CaseEvent, ...]
    payments: tuple[PaymentEvidence, ...]
    replays: tuple[DecisionReplay, ...] | None = None
    reasons_hidden: bool = False

    @property
    def erased(self) -> CaseEvent | None:
        """The step that erased whose case it was, if one did."""
        return next((one for one in self.steps if one.step == "forgotten"), None)


class _Answered(msgspec.Struct, frozen=True):
    answer: EvidenceAnswer


_READ_PAYMENTS: Final = 50
Replay = Callable[[str], DecisionReplay]
"""Replays the decision on a payment."""
_record = msgspec.json.Decoder(EvidenceRecord).decode
_answered = msgspec.json.Decoder(_Answered).decode
_label = msgspec.json.Decoder(LabelRecord).decode


def gather(
    desk: Desk,
    ledger: Ledger,
    number: int,
    replay: Replay | None = None,
    *,
    viewer: str | None = None,
) -> CaseEvidence:
    """All that is known of a case.

    Raises:
        CaseConflict: its viewer judges it a second time, and may not know it yet.
        NotFound: there is none.
        LedgerUnavailable, ControlUnavailable: a database does not answer.
        UnreadableRecord: the ledger was changed.
    """
    case, payments, steps = desk.case(number)
    if viewer is not None and desk.case(number, viewer)[0].status != case.status:
        raise CaseConflict(f"you judge case {number} a second time: decide it first.")
    found = tuple(_payment(ledger, one) for one in payments)
    hidden = viewer is not None and desk.hides_reasons(number, viewer)
    if hidden:
        found = tuple(map(_without_reasons, found))
    replays = None if replay is None else tuple(replay(one.payment_id) for one in payments)
    return CaseEvidence(
        case=case, steps=tuple(steps), payments=found, replays=replays, reasons_hidden=hidden
    )


def look(desk: Desk, ledger: Ledger, number: int, viewer: str) -> CaseEvidence:
    """A case as somebody who works on it sees it: without reasons where they are hidden, and
    without results, labels and notes where they judge it a second time. The records of its newest
    50 payments are read.

    Raises:
        NotFound: there is none.
        LedgerUnavailable, ControlUnavailable: a database does not answer.
        UnreadableRecord: the ledger was changed.
    """
    case, payments, steps = desk.case(number, viewer)
    blind = case.status != desk.case(number)[0].status
    hidden = desk.hides_reasons(number, viewer)
    found = [_payment(ledger, one) for one in payments[-_READ_PAYMENTS:]]
    if blind:
        found = [msgspec.structs.replace(one, later=()) for one in found]
    if hidden:
        found = [*map(_without_reasons, found)]
    return CaseEvidence(case=case, steps=tuple(steps), payments=tuple(found), reasons_hidden=hidden)


def first_reasons(
    desk: Desk, ledger: Ledger, cases: Sequence[Case], viewer: str
) -> dict[int, Reason | None]:
    """The first reason of the most suspicious payment of each case, by the number of the case; None
    where somebody may not see it yet. Cases without one are left out, and where the ledger does not
    answer all are.

    Raises:
        ControlUnavailable: the database of cases does not answer.
    """
    leading = desk.leading_payments(cases, viewer)
    found: dict[int, Reason | None] = {one: None for one, name in leading.items() if name is None}
    names = {name: one for one, name in leading.items() if name is not None}
    if not names:
        return found
    with suppress(LedgerUnavailable):
        # a server that does not answer is waited for once, not once for each payment
        ledger.find(next(iter(names)))
        for number, entry in zip(names.values(), ledger.find_all([*names]), strict=True):
            if isinstance(entry, StoredEntry) and (reason := _first_reason(entry)) is not None:
                found[number] = reason
    return found


def _first_reason(entry: StoredEntry) -> Reason | None:
    # the page of the case says what is wrong with a record that cannot be read
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        if entry.forgotten is None and (reasons := _answered(entry.body).answer.reasons):
            return reasons[0]
    return None


def _without_reasons(one: PaymentEvidence) -> PaymentEvidence:
    """A payment whose record says nothing of why it was suspicious."""
    if one.record is None:
        return one
    answer = msgspec.structs.replace(one.record.answer, reasons=(), rules=())
    return msgspec.structs.replace(one, record=msgspec.structs.replace(one.record, answer=answer))


def _payment(ledger: Ledger, payment: CasePayment) -> PaymentEvidence:
    entry = ledger.find(payment.payment_id)
    if entry is None or entry.forgotten is not None:
        return PaymentEvidence(payment=payment, entry=entry, record=None, later=())
    try:
        record = _record(entry.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise unreadable(entry.seq, "holds no decision") from None
    result = ledger.find(payment.payment_id, "result")
    later = [*([] if result is None else [result]), *ledger.labels(payment.payment_id)]
    return PaymentEvidence(
        payment=payment,
        entry=entry,
        record=record,
        later=tuple(sorted(later, key=lambda one: one.seq)),
    )


def said_by(entry: StoredEntry) -> LabelRecord:
    """A label or a result as it was recorded.

    Raises:
        UnreadableRecord: the record holds none.
    """
    try:
        return _label(entry.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise unreadable(entry.seq, f"holds no {entry.kind}") from None


def records_of(evidence: CaseEvidence) -> Sequence[StoredEntry]:
    """All records of the ledger that the evidence has, by number."""
    found = [
        entry
        for one in evidence.payments
        for entry in (*([] if one.entry is None else [one.entry]), *one.later)
    ]
    return sorted(found, key=lambda one: one.seq)
