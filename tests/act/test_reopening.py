"""Undo: one's own decision, a short while after, and what the history says of it."""

from __future__ import annotations

import pytest

from act.records import Moment, Records, open_cases
from shroff.act import CaseIntake, CaseQueue, Desk
from shroff.act.case import CaseSpike
from shroff.errors import CaseConflict
from shroff.package import Bundle

MINUTE = 60_000_000


@pytest.fixture
def desk(url: str, bundle: Bundle, clock: Moment) -> Desk:
    """Four open cases; labels wait half a minute."""
    open_cases(url, bundle, 4)
    return Desk(url, clock=clock, undo_seconds=30)


def test_a_decision_is_taken_back_with_its_labels(desk: Desk, clock: Moment) -> None:
    desk.set_queues([CaseQueue(name="review", second_review=1.0)])
    closed = desk.decide(4, "ada", outcome="fraud")
    assert desk.take_labels() == []
    with pytest.raises(CaseConflict, match="no decision of yours"):
        desk.undo(4, "bob")
    again = desk.undo(4, "ada")
    assert (again.status, again.holder, again.outcome, again.closed) == ("open", "ada", None, None)
    assert again.version == closed.version + 1
    assert [one.step for one in desk.case(4)[2]] == ["opened", "closed", "undone"]
    assert desk.verify() is not None
    with pytest.raises(CaseConflict, match="no decision of yours"):
        desk.undo(4, "ada")
    # drawn to be judged again, and no more
    assert desk.agreement().cases == 0
    assert [one.id for one in desk.cases(waiting=True)] == [3, 2, 1]
    clock.now += MINUTE
    assert desk.take_labels() == []
    desk.decide(4, "ada", outcome="genuine")
    clock.now += MINUTE
    assert [(one.payment_id, one.fraud) for one in desk.take_labels()] == [("p3", False)]


def test_once_a_label_was_taken_the_case_is_opened_again(
    desk: Desk, clock: Moment, url: str, bundle: Bundle
) -> None:
    desk.decide(4, "ada", outcome="fraud")
    clock.now += MINUTE
    (label,) = desk.take_labels()
    again = desk.undo(4, "ada")
    assert (again.status, again.holder) == ("open", "ada")
    last = desk.case(4)[2][-1]
    assert (last.step, last.note) == ("reopened", "undone after its labels were sent")
    desk.sent(label)
    # the label comes back from the ledger, and does not close what somebody opened again
    records = Records()
    records.seq = 4
    CaseIntake(url, "ledger", bundle).take([records.label("p3", True)])
    assert desk.case(4)[0].status == "open"
    desk.decide(4, "ada", outcome="genuine")
    clock.now += MINUTE
    assert [(one.payment_id, one.fraud) for one in desk.take_labels()] == [("p3", False)]


def test_minutes_later_it_takes_a_reason(desk: Desk, clock: Moment) -> None:
    desk.decide(1, "ada", outcome="unclear")
    clock.now += 6 * MINUTE
    with pytest.raises(CaseConflict, match="more than 5 minutes ago: reopen it, with a reason"):
        desk.undo(1, "ada")


def test_what_was_closed_with_a_case_is_opened_with_it(
    url: str, bundle: Bundle, clock: Moment
) -> None:
    records = Records()
    entries = [
        records.entry(
            "payment",
            f"h{n}",
            {
                "payment": {"values": {"card_id": f"k{n}", "host_id": "h", "amount": 5.0}},
                "probability": 0.9,
                "action": "review",
            },
        )
        for n in range(3)
    ]
    spikes = [CaseSpike(column="host_id", payments=2)]
    CaseIntake(url, "ledger", bundle, spikes=spikes, clock=clock).take(entries)
    desk = Desk(url, clock=clock)
    (group,) = desk.cases()
    assert group.kind == "host_id"
    desk.decide(group.id, "ada", outcome="fraud")
    with pytest.raises(CaseConflict, match=f"was closed with case {group.id}: undo that"):
        desk.undo(1, "ada")
    desk.undo(group.id, "ada")
    assert {desk.case(number)[0].status for number in (1, 2, group.id)} == {"open"}
    assert desk.labels() == []
