"""What a service answers, as its client gives it."""

from __future__ import annotations

from typing import Literal

import msgspec


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
