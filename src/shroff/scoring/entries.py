"""What the ledger gets of a decision, a result or a label."""

from __future__ import annotations

from msgspec import UNSET, Raw

from shroff.collect.payment import Value
from shroff.collect.times import format_time
from shroff.decide import LaneDecision
from shroff.decide.decider import Assessment
from shroff.ledger import Entry
from shroff.ledger.answer import Answer, DecisionRecord, encode
from shroff.ledger.decision_ids import decision_id
from shroff.ledger.keyring import subject_of
from shroff.scoring.active import Active
from shroff.scoring.in_flight import PendingEvent, PendingPayment
from shroff.telemetry.meter import Decided


def event_entry(event: PendingEvent) -> Entry:
    """The record of a result or label; without a time of its own it happened when it arrived."""
    return Entry(
        event.kind,
        event.payment_id,
        event.arrived,
        event.arrived if event.record.at is None else event.record.at,
        event.digest,
        encode(event.record),
        seal=event.seal,
    )


def payment_entry(
    active: Active,
    pending: PendingPayment,
    features: dict[str, Value],
    assessment: Assessment,
    lane: LaneDecision | None,
) -> Entry:
    """The record of a decision, with the answer as it will be sent, which `pending` keeps too."""
    payment, verdict, decider = pending.payment, assessment.verdict, active.decider
    column = active.reader.schema.subject
    degraded = assessment.probability is None
    pending.journey.decided = Decided(active.model.version, verdict.action, degraded)
    pending.journey.probability = assessment.probability
    pending.answer = encode(
        Answer(
            payment_id=payment.id,
            decision_id=decision_id(payment.arrived),
            action=verdict.action,
            probability=assessment.probability,
            reasons=assessment.reasons,
            rules=verdict.rules,
            model=active.model,
            policy=decider.policy_version,
            degraded=degraded,
            decided_at=format_time(payment.arrived),
            expected_costs=UNSET if verdict.costs is None else verdict.costs,
        )
    )
    record = DecisionRecord(
        payment=Raw(pending.encoded),
        features=features,
        probability=assessment.probability,
        action=verdict.action,
        model=active.model.version,
        answer=Raw(pending.answer),
        lists=decider.lists_mark,
        policy=decider.policy_version,
        lane=UNSET if lane is None else lane,
    )
    return Entry(
        "payment",
        payment.id,
        payment.arrived,
        payment.time,
        pending.digest,
        encode(record),
        subject=None if column is None else subject_of(payment.values.get(column), payment.id),
    )
