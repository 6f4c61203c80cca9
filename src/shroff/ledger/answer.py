"""The JSON of an answer, and of the ledger's records."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.collect.times import format_time
from shroff.decide import Action, LaneDecision
from shroff.decide.reasons import Reason
from shroff.errors import PaymentConflict
from shroff.evaluate.expected import ExpectedCosts
from shroff.ledger import StoredEntry, unreadable
from shroff.package import Bundle

encode: Final = msgspec.json.Encoder().encode


class ModelName(msgspec.Struct, frozen=True, gc=False):
    """The model that decided: the bundle's name and version."""

    name: Annotated[str, Meta(description="The detector, or what the bundle was called.")]
    version: Annotated[str, Meta(description="Names this very bundle.")]

    @classmethod
    def of(cls, bundle: Bundle) -> ModelName:
        """The name of a bundle."""
        return cls(bundle.name, bundle.version)


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The answer to one payment."""

    payment_id: Annotated[str, Meta(description="The id that was sent.")]
    decision_id: Annotated[
        str,
        Meta(
            description="Names the decision; later ones sort later.",
            extra_json_schema={"format": "uuid"},
        ),
    ]
    action: Annotated[
        Action,
        Meta(
            description="What to do: let it pass, let the customer prove who they are, let a "
            "person look at it, or refuse it."
        ),
    ]
    probability: Annotated[
        float | None,
        Meta(description="Of fraud, from 0 to 1; null while no model can score (`degraded`)."),
    ]
    reasons: Annotated[
        tuple[Reason, ...],
        Meta(
            description="Why: a rule, or what raised the score, strongest first; empty for what "
            "was simply approved."
        ),
    ]
    rules: Annotated[
        tuple[str, ...], Meta(description="The rules of the policy whose condition held.")
    ]
    model: Annotated[ModelName, Meta(description="Which model decided, by `name` and `version`.")]
    policy: Annotated[
        str,
        Meta(
            description="Which policy decided, by version: a published one, or the model's own, "
            "which has its."
        ),
    ]
    degraded: Annotated[
        bool,
        Meta(
            description="Whether a part was missing, so that the policy decided without a "
            "probability."
        ),
    ]
    decided_at: Annotated[
        str,
        Meta(
            description="When it was decided, ISO 8601 in UTC.",
            extra_json_schema={"format": "date-time"},
        ),
    ]
    expected_costs: Annotated[
        ExpectedCosts | UnsetType,
        Meta(
            description="What each action was expected to cost, where the policy decides by cost; "
            "left out where it does not, or where the costs of the payment are not known."
        ),
    ] = UNSET


class DecisionRecord(msgspec.Struct, frozen=True, gc=False):
    """The ledger's body of a payment: enough to compute the decision again to the bit.

    `payment` is the clean payment with `arrived` 0 (the entry has it), its amount converted by the
    rates that `Payment.rates` names if it has a currency of its own; `answer` is the answer's
    bytes. `lists` identifies the lists that rules read, by their last edit and their time
    (`control.effective`); None: the policy's own. `policy` is the policy's version, or the model's
    for its own policy (None in older records). `lane` is what the control lane did with a payment
    that it might take: `action` is what was done in the end, `lane.decided` what the policy had
    decided.
    """

    payment: Raw
    features: dict[str, Value]
    probability: float | None
    action: Action
    model: str
    answer: Raw
    lists: tuple[int, int] | None = None
    policy: str | None = None
    lane: LaneDecision | UnsetType = UNSET


class LaterRecord(msgspec.Struct, frozen=True, gc=False):
    """The body of a result (`value` is its name), and the first fields of a label's (its truth).

    `at` is when it happened (microseconds since the epoch), if the client said so, and `source` who
    says so.
    """

    value: str | bool
    at: int | None = None
    source: str | None = None


class _Answered(msgspec.Struct, gc=False):
    answer: Raw


class _Paid(msgspec.Struct, gc=False):
    payment: Payment


_answered: Final = msgspec.json.Decoder(_Answered).decode
_paid: Final = msgspec.json.Decoder(_Paid).decode
_later_record: Final = msgspec.json.Decoder(LaterRecord).decode


def fingerprint(encoded: bytes) -> bytes:
    """SHA-256 of a payload's canonical JSON: the clean payment, or a later event's record.

    Key order and white space of the request do not matter.
    """
    return sha256(encoded).digest()


def stored_answer(entry: StoredEntry) -> bytes:
    """The bytes of the answer to a stored payment."""
    return bytes(_answered(entry.body).answer)


def forgotten_on(entry: StoredEntry) -> str:
    """The sentence about a payment that was forgotten; empty for any other."""
    if entry.forgotten is None:
        return ""
    day = format_time(entry.forgotten)[:10]
    return f"the payment of this id was forgotten on {day}: nothing of it can be read or added."


def require_same(stored: StoredEntry, digest: bytes) -> None:
    """Raise `PaymentConflict` if a stored payment has another fingerprint, or was forgotten."""
    if stored.forgotten is not None:
        raise PaymentConflict(f"{forgotten_on(stored)} Give a new payment a new id.")
    if stored.digest != digest:
        raise PaymentConflict(
            "this payment id came before with another payload; the first one counts. Give a new "
            "payment a new id."
        )


def stored_payment(entry: StoredEntry) -> Payment:
    """The payment of a stored decision, as the engine saw it.

    Raises:
        UnreadableRecord: the record holds no decision.
    """
    try:
        payment = _paid(entry.body).payment
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise unreadable(entry.seq, "holds no decision") from None
    payment.arrived = entry.arrived
    return payment


def later_record(entry: StoredEntry) -> LaterRecord:
    """The stored result or label.

    Raises:
        UnreadableRecord: the record holds none.
    """
    try:
        return _later_record(entry.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise unreadable(entry.seq, f"holds no {entry.kind}") from None
