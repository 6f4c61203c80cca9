"""What a service answers, as its client gives it."""

from __future__ import annotations

from typing import Literal

import msgspec

CaseOutcome = Literal["fraud", "genuine", "unclear", "refunded"]
"""What a case came to; it is apart from the labels of its payments."""


class Reason(msgspec.Struct, frozen=True):
    """Why a payment was not approved; `code` is stable, `text` is for people.

    `feature` is the input, or a rule's name, or None where several inputs, those in `values`, are
    the reason together.
    """

    code: str
    feature: str | None
    direction: str
    value: float | str | None
    typical: float | str | None
    share: float | None
    values: dict[str, float | str | None]
    text: str


class ModelVersion(msgspec.Struct, frozen=True):
    """A model that decides."""

    name: str
    version: str


class PaymentLabel(msgspec.Struct, frozen=True):
    """One label of a payment; `stands` says whether it counts now."""

    source: str
    fraud: bool
    recorded_at: str
    at: str | None
    note: str | None
    event: str | None
    stands: bool


class ExpectedCosts(msgspec.Struct, frozen=True):
    """What each action on a payment was expected to cost, and the `cheapest`; `challenge` is None
    where none is declared.
    """

    cheapest: str
    approve: float
    review: float
    decline: float
    challenge: float | None = None


class Decision(msgspec.Struct, frozen=True):
    """The decision on a payment; `probability` of fraud is None when it is `degraded`.

    `policy` is the version of the policy that decided: a published one, or the model's own, which
    has its version. `expected_costs` is None unless the policy decides by cost. A stored one has
    all `labels` of the payment, and whether it is `fraud` by the one that stands.
    """

    payment_id: str
    decision_id: str
    action: Literal["approve", "challenge", "review", "decline"]
    probability: float | None
    reasons: tuple[Reason, ...]
    rules: tuple[str, ...]
    model: ModelVersion
    degraded: bool
    decided_at: str
    policy: str = ""
    fraud: bool | None = None
    labels: tuple[PaymentLabel, ...] = ()
    expected_costs: ExpectedCosts | None = None


class ReviewCase(msgspec.Struct, frozen=True):
    """A case: payments of one subject that a person should look at; times are ISO 8601.

    `version` counts its changes: who changes a case names the version that they saw. `worth` is
    expected loss per minute of work, by which cases are ranked. `holder` has claimed it until
    `lease`; it is put off until `wake`; its queue wants it closed by `due`. It was joined to the
    case `parent`, and is worked on there.
    """

    id: int
    version: int
    status: Literal["open", "closed"]
    queue: str
    kind: str
    subject: str
    payments: int
    amount: float
    expected_loss: float
    worth: float
    probability: float | None
    action: str
    level: int
    opened: str
    newest: str
    due: str
    holder: str | None = None
    lease: str | None = None
    wake: str | None = None
    outcome: str | None = None
    closed: str | None = None
    parent: int | None = None


class ReviewPayment(msgspec.Struct, frozen=True):
    """A payment of a case, as it was decided; `fraud` is the label that it has now, if any."""

    payment_id: str
    at: str
    amount: float
    probability: float | None
    action: str
    fraud: bool | None


class ReviewStep(msgspec.Struct, frozen=True):
    """One step of a case: when, by whom, what and why; `to` whom, or `until` when."""

    id: int
    version: int
    at: str
    by: str
    step: str
    note: str | None = None
    outcome: str | None = None
    to: str | None = None
    until: str | None = None
    chain: str = ""


class CaseFile(msgspec.Struct, frozen=True):
    """A case with its payments and its history, the oldest first."""

    case: ReviewCase
    payments: tuple[ReviewPayment, ...]
    history: tuple[ReviewStep, ...]


class CasePage(msgspec.Struct, frozen=True):
    """Some cases, those most worth their time first; `next` asks for the page after."""

    cases: tuple[ReviewCase, ...]
    next: str | None = None


class Narrative(msgspec.Struct, frozen=True):
    """A case in plain sentences, in order."""

    sentences: tuple[str, ...]


class CaseQueueLoad(msgspec.Struct, frozen=True):
    """A queue of cases, and how many are open, waiting and overdue in it."""

    name: str
    condition: str
    sla_minutes: int
    minutes: float
    open: int
    waiting: int
    overdue: int
    expected_loss: float
    second_review: float = 0.0


class Forgetting(msgspec.Struct, frozen=True, kw_only=True):
    """What was forgotten, or would be: it does not say who.

    Attributes:
        records: how many records of the ledger can no longer be read, by kind.
        periods: the numbers of whole periods that were forgotten by age.
        columns: those that say whose a payment is.
        forgotten: False if it was only counted.
    """

    records: dict[str, int]
    periods: list[int] = []
    columns: list[str]
    forgotten: bool
