"""The receipt of a decision: everything that the ledger has of one payment, in one place."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from shroff.canonical import canonical
from shroff.collect import Payment
from shroff.errors import NotFound
from shroff.ledger import Ledger, StoredEntry, unreadable
from shroff.ledger.answer import Answer, DecisionRecord, LaterRecord, forgotten_on, later_record
from shroff.ledger.labels import Rank, StatedLabel, history, stated

_record: Final = msgspec.json.Decoder(DecisionRecord).decode
_payment: Final = msgspec.json.Decoder(Payment).decode
_answer: Final = msgspec.json.Decoder(Answer).decode


class Receipt(NamedTuple):
    """A payment, the decision on it, and what was said of it later.

    Attributes:
        entry: the record of the decision, opened.
        payment: as the engine saw it, personal values as tokens.
        answer: as it was sent.
        result: with its arrival (µs); None before it came.
        labels: in order of arrival.
        fraud: by the label that stands; None without one.
    """

    entry: StoredEntry
    record: DecisionRecord
    payment: Payment
    answer: Answer
    result: tuple[LaterRecord, int] | None
    labels: tuple[StatedLabel, ...]

    @property
    def fraud(self) -> bool | None:
        """Whether it was fraud, by the label that stands."""
        return next((one.fraud for one in self.labels if one.stands), None)


def read_receipt(ledger: Ledger, payment_id: str, rank: Rank) -> Receipt:
    """The receipt of a payment.

    Args:
        rank: of a source of labels, see `Schema.label_rank`.

    Raises:
        NotFound: the ledger has no such payment, or it was forgotten.
        LedgerUnavailable: the database does not answer.
        UnreadableRecord: the ledger was changed.
    """
    name = canonical(payment_id)
    entry = ledger.find(name)
    if entry is None:
        raise NotFound("the ledger has no payment with this id.")
    if entry.forgotten is not None:
        raise NotFound(forgotten_on(entry))
    try:
        record = _record(entry.body)
        payment, answer = _payment(record.payment), _answer(record.answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise unreadable(entry.seq, "holds no decision") from None
    result = ledger.find(name, "result")
    return Receipt(
        entry,
        record,
        payment,
        answer,
        None if result is None else (later_record(result), result.arrived),
        stated(history(ledger.labels(name)), rank),
    )
