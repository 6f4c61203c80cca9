"""A case: payments of one subject, such as a card, that a person should look at."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from shroff.control.history import Chained
from shroff.decisions import CaseOutcome

Outcome = CaseOutcome
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
Step = Literal[
    "opened",
    "grew",
    "claimed",
    "released",
    "assigned",
    "snoozed",
    "escalated",
    "noted",
    "closed",
    "reopened",
    "forgotten",
    "joined",
    "reviewed",
    "undone",
]
"""What can happen to a case."""
Status = Literal["open", "closed"]


class CaseQueue(msgspec.Struct, frozen=True, kw_only=True):
    """Where cases wait that meet a condition; a case goes to the first queue that takes it.

    Attributes:
        condition: SQL over `amount`, `expected_loss`, `probability`, `payments` and `action` of a
            case; empty: every case.
        sla_minutes: within which a case should be closed.
        minutes: that a person takes for a case.
        second_review: the share of its cases that a second person judges too, without seeing the
            first outcome.
        hide_reasons: the share of its cases whose reasons nobody sees until they are decided, to
            measure whether reasons help.
    """

    name: str
    condition: str = ""
    sla_minutes: Annotated[int, Meta(gt=0)] = 1_440
    minutes: Annotated[float, Meta(gt=0)] = 5.0
    second_review: Annotated[float, Meta(ge=0, le=1)] = 0.0
    hide_reasons: Annotated[float, Meta(ge=0, le=1)] = 0.0


class CaseSpike(msgspec.Struct, frozen=True, kw_only=True):
    """Payments to review or declined within minutes that share the value of a column: so many are
    one case of that value.
    """

    column: str
    payments: Annotated[int, Meta(ge=2)] = 20
    minutes: Annotated[int, Meta(gt=0)] = 10


class CasePayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment of a case, as it was decided; `fraud` is the label that it has now, if any."""

    payment_id: str
    at: int
    amount: float
    probability: float | None
    action: str
    fraud: bool | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case as it is now.

    Attributes:
        subject: the value that its payments have in common; `kind` names the column.
        version: counts its changes: who changes a case names the version that they saw.
        holder: who has claimed it, until `lease`; None where nobody has, or the lease has lapsed.
        wake: until when it is put off; None where it is not.
        level: how often it was escalated.
        due: when its queue wants it closed.
        amount: of its payments that have no label yet.
        expected_loss: the sum over them of probability times amount.
        worth: expected loss per minute of work, by which cases are ranked.
        probability: the highest of its payments.
        parent: the case that it was joined to, and is worked on with.
        outcome: what it came to; of an open case, before somebody opened it again.
    """

    id: int
    kind: str
    subject: str
    queue: str
    status: Status
    version: int
    opened: int
    due: int
    level: int
    payments: int
    amount: float
    expected_loss: float
    worth: float
    probability: float | None
    action: str
    newest: int
    holder: str | None = None
    lease: int | None = None
    wake: int | None = None
    outcome: Outcome | None = None
    closed: int | None = None
    parent: int | None = None


class CaseEvent(Chained, frozen=True, omit_defaults=True, kw_only=True):
    """One step of a case: when, by whom, what, and why; part of one chain over all cases.

    The chain is over `note_digest`, the SHA-256 of a random salt and the note, and not over the
    `note`, which can so be erased.
    """

    id: int
    case: int
    version: int
    at: int
    by: str
    step: Step
    note: str | None = None
    note_digest: str | None = None
    outcome: Outcome | None = None
    to: str | None = None
    until: int | None = None
