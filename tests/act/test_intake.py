"""The way of a ledger's records into cases: the same in parts of any size, and few queries."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import Engine, event

from act.records import Moment, Records
from shroff.act import CaseIntake, Desk
from shroff.act.case import CaseSpike
from shroff.ledger import StoredEntry
from shroff.package import Bundle


def mixed(seed: int) -> list[StoredEntry]:
    """Payments of few cards and hosts with each decision, labels and refunds, in any order."""
    drawn, records = random.Random(seed), Records()
    made = list[StoredEntry]()
    for number in range(60):
        known = [one.payment_id for one in made if one.kind == "payment"] or ["nobody"]
        kind = drawn.choice(("approve", "review", "review", "decline", "label", "result"))
        if kind == "label":
            made.append(records.label(drawn.choice(known), fraud=drawn.random() < 0.3))
        elif kind == "result":
            made.append(records.result(drawn.choice(known), "refunded"))
        else:
            card, host = drawn.choice((None, "a", "b", "c", "d")), drawn.choice((None, "h", "i"))
            paid = records.paid(f"p{number}", card, 10.0 + number, 0.25, kind, host=host)
            made.append(paid)
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("spikes", [[], [CaseSpike(column="host_id", payments=4, minutes=10)]])
def test_records_give_the_same_cases_in_parts_of_any_size(
    url: str, bundle: Bundle, clock: Moment, spikes: list[CaseSpike], seed: int
) -> None:
    entries, found = mixed(seed), list[Any]()
    for size in (1, 7, 60):
        intake = CaseIntake(f"{url}-{size}", "ledger", bundle, spikes=spikes, clock=clock)
        desk = Desk(f"{url}-{size}", clock=clock)
        for start in range(0, 60, size):
            intake.take(entries[start : start + size])
        cases = [*desk.cases(), *desk.cases(closed=True)]
        steps = {one.id: [step.step for step in desk.case(one.id)[2]] for one in cases}
        found.append((cases, steps, [desk.case(one.id)[1] for one in cases]))
        assert desk.verify() is not None
    assert found[0] == found[1] == found[2]
    assert {one.kind for one in found[0][0]} == {"card_id", *(one.column for one in spikes)}


def test_records_of_cards_without_a_case_need_no_query_each(
    url: str, bundle: Bundle, clock: Moment
) -> None:
    intake, records = CaseIntake(url, "ledger", bundle, clock=clock), Records()
    intake.take([records.paid("p", "c", 100.0, 0.5, "review")])
    passed = [records.paid(f"q{n}", f"c{n}", 10.0, 0.01, "approve") for n in range(900)]
    told = [records.label(f"q{n}", fraud=False) for n in range(50)]
    asked: list[str] = []

    def note(*given: Any) -> None:
        asked.append(given[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        intake.take([*passed, *told, records.paid("p2", "c", 50.0, 0.5, "review")])
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(asked) < 40, "few for a part of a thousand records, and some for its one case"
    (case,) = Desk(url, clock=clock).cases()
    assert (case.subject, case.payments) == ("c", 2)
