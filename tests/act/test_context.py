"""What is known around a case: past cases like it, who shares a value, and hidden reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from act.records import Moment, Records, open_cases
from shroff.act import CaseIntake, CaseQueue, Desk
from shroff.act.case import CaseSpike
from shroff.act.evidence import first_reasons
from shroff.act.hiding import CaseReading, are_hidden, effects
from shroff.act.similar import MAX_LINKED
from shroff.act.traits import REASON, Trait
from shroff.cli import app
from shroff.errors import LedgerAway
from shroff.ledger import Ledger, StoredEntry
from shroff.package import Bundle

MINUTE = 60_000_000


def paid(records: Records, payment_id: str, codes: tuple[str, ...], **values: Any) -> StoredEntry:
    body = {
        "payment": {"values": {"amount": 10.0} | values},
        "probability": 0.5,
        "action": "review",
        "answer": {"reasons": [{"code": code} for code in codes]},
    }
    return records.entry("payment", payment_id, body)


def test_past_cases_are_alike_by_subject_values_and_reasons(url: str, bundle: Bundle) -> None:
    records, desk = Records(), Desk(url)
    intake = CaseIntake(url, "ledger", bundle)
    intake.take(
        [
            paid(records, "a1", ("velocity",), card_id="a", host_id="h"),
            paid(records, "b1", ("velocity", "amount"), card_id="b", host_id="other"),
            paid(records, "c1", (), card_id="c", host_id="nobody's"),
            paid(records, "d1", (), card_id="d", host_id="h"),
        ]
    )
    for number, outcome in ((1, "fraud"), (2, "genuine"), (3, "unclear")):
        desk.decide(number, "ada", outcome=outcome)  # type: ignore[arg-type] # of a tuple
    intake.take([paid(records, "a2", ("velocity", "amount"), card_id="a", host_id="h")])
    found = desk.context(5)
    told = [
        (one.case.id, one.points, one.same_subject, one.shared, one.reasons)
        for one in found.similar
    ]
    assert told == [
        (1, 6, True, (Trait("host_id", "h"),), ("velocity",)),
        (2, 2, False, (), ("amount", "velocity")),
    ]
    (link,) = found.links
    assert (link.kind, link.value, link.payments, link.others) == ("host_id", "h", 1, 2)
    assert [one.id for one in link.cases] == [1, 4]
    lines = {one.kind: [paid.payment_id for paid in one.payments] for one in found.timelines}
    assert lines == {"card_id": ["a1", "a2"], "host_id": ["a1", "d1", "a2"]}


def test_what_many_share_is_no_link_and_erased_cases_are_none(url: str, bundle: Bundle) -> None:
    records, desk = Records(), Desk(url)
    shared = [paid(records, f"p{n}", (), card_id=f"c{n}", host_id="shop") for n in range(60)]
    few = [paid(records, f"q{n}", (), card_id=f"d{n}", host_id="few") for n in range(9)]
    CaseIntake(url, "ledger", bundle).take([*shared, *few])
    assert desk.context(1).links == ()
    (link,) = desk.context(61).links
    assert (link.others, len(link.cases)) == (8, MAX_LINKED)
    desk.forget("card_id", [f"d{n}" for n in range(1, 9)], [], "boss")
    assert desk.context(61).links == ()
    assert [one.payment_id for one in desk.context(61).timelines[0].payments] == ["q0"]


def test_a_case_is_led_by_its_most_suspicious_payment(url: str, bundle: Bundle) -> None:
    records, desk = Records(), Desk(url, key=b"secret")
    desk.set_queues([CaseQueue(name="review", second_review=1.0)])
    spikes = [CaseSpike(column="host_id", payments=2)]
    CaseIntake(url, "ledger", bundle, spikes=spikes).take(
        [
            records.paid("a1", "a", 10.0, 0.4, "review"),
            records.paid("a2", "a", 10.0, 0.6, "review"),
            records.paid("a3", "a", 10.0, 0.9, "approve"),
            records.paid("b1", "b", 10.0, 0.7, "review", host="h"),
            records.paid("c1", "c", 10.0, 0.5, "decline", host="h"),
        ]
    )
    cases = desk.cases()
    leading = {one.subject: desk.leading_payments([one], "bob")[one.id] for one in cases}
    # the case of card `b` was joined to that of the host
    assert leading == {"a": "a2", "h": "b1"}
    desk.set_queues([CaseQueue(name="review", hide_reasons=1.0, second_review=1.0)])
    numbers = sorted(one.id for one in cases)
    assert desk.leading_payments(cases, "bob") == dict.fromkeys(numbers)
    first, other = (desk.decide(number, "ada", outcome="fraud") for number in numbers)
    again = desk.next("bob")
    assert again is not None
    assert again.id == first.id
    # who judges it a second time may not know yet what the first person was told
    assert desk.leading_payments([first, other], "bob") == {first.id: None, other.id: "b1"}
    assert desk.leading_payments([first], "ada") == {first.id: "a2"}


def test_a_list_without_its_ledger_has_no_reasons(
    url: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(payment_id: str, *_: Any, **__: Any) -> None:
        asked.append(payment_id)
        raise LedgerAway("the ledger's database is away.")

    desk, ledger = Desk(url), Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert first_reasons(desk, ledger, [], "ada") == {}
    open_cases(url, bundle, 3)
    monkeypatch.setattr(ledger, "find", away)
    assert first_reasons(desk, ledger, desk.cases(), "ada") == {}
    assert len(asked) == 1


def test_reasons_are_hidden_by_lot_until_the_case_is_decided(url: str, bundle: Bundle) -> None:
    records, clock = Records(), Moment()
    desk = Desk(url, key=b"secret", clock=clock)
    desk.set_queues([CaseQueue(name="review", hide_reasons=0.5)])
    entries = [paid(records, f"p{n}", ("velocity",), card_id=f"c{n}") for n in range(40)]
    CaseIntake(url, "ledger", bundle).take(entries)
    hidden = [number for number in range(1, 41) if are_hidden(b"secret", number, 0.5)]
    assert [n for n in range(1, 41) if desk.hides_reasons(n)] == hidden
    desk.claim(hidden[0], "ada")
    # what was begun stays as it was drawn
    desk.set_queues([CaseQueue(name="review")])
    assert [n for n in range(1, 41) if desk.hides_reasons(n)] == hidden[:1]
    desk.set_queues([CaseQueue(name="review", hide_reasons=0.5)])
    for number in range(1, 41):
        desk.claim(number, "ada")
        clock.now += MINUTE * (2 if number in hidden else 1)
        desk.decide(number, "ada", outcome="genuine" if number in hidden else "fraud")
    assert not any(desk.hides_reasons(n) for n in range(1, 41))
    fraud, unclear, agreed, minutes = desk.reasons_effect()
    assert (fraud.shown_cases, fraud.hidden_cases) == (40 - len(hidden), len(hidden))
    assert (fraud.shown, fraud.hidden, fraud.effect) == (1.0, 0.0, 1.0)
    assert fraud.interval is not None
    assert fraud.interval[0] < 1
    assert (unclear.effect, agreed.effect) == (0.0, None)
    assert minutes.effect is not None
    assert minutes.effect == pytest.approx(0.5, abs=0.05)
    # a decision that was taken back is none
    desk.undo(40, "ada")
    assert desk.reasons_effect()[0].shown_cases + len(hidden) == 39 + (40 in hidden)
    # reasons that nobody may see make no case alike
    assert all(not one.reasons for one in desk.context(40).similar) == (40 in hidden)
    assert Trait(REASON, "velocity").kind == ""


def test_the_commands_say_it_in_tables(url: str, bundle: Bundle, tmp_path: Path) -> None:
    records, desk = Records(), Desk(url)
    desk.set_queues([CaseQueue(name="review", hide_reasons=0.5)])
    entries = [paid(records, f"p{n}", ("velocity",), card_id=f"c{n}", host_id="h") for n in "ab"]
    CaseIntake(url, "ledger", bundle).take(entries)
    environment = {"SHROFF_CONTROL": url, "SHROFF_HOME": str(tmp_path), "LOGNAME": "ada"}

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["cases", *words], env=environment)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    assert "No past case is like it" in said("around", "2")
    assert "No case was drawn" in said("reasons")
    assert "closed as fraud" in said("decide", "1", "--outcome", "fraud")
    assert "host_id h" in said("around", "2")
    assert json.loads(said("around", "2", "--json"))["similar"][0]["case"]["outcome"] == "fraud"
    assert "called fraud" in said("reasons")
    assert json.loads(said("reasons", "--json"))["effects"][3]["measure"] == "minutes"
    assert "open, ada has it" in said("undo", "1")
    assert "card_id ca" in said("list")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=60))
def test_of_one_share_an_effect_is_the_difference_of_shares(found: list[tuple[bool, bool]]) -> None:
    cases = [
        CaseReading(0.5, hidden, None, "fraud" if fraud else "genuine", None)
        for hidden, fraud in found
    ]
    fraud = effects(cases)[0]
    sides = [[said for hidden, said in found if hidden is side] for side in (False, True)]
    if min(map(len, sides)) < 2:
        assert fraud.effect is None
        return
    shown, hidden = (sum(side) / len(side) for side in sides)
    assert fraud.effect == pytest.approx(shown - hidden)
    assert fraud.interval is not None
    assert fraud.interval[0] < fraud.interval[1]


def test_cases_of_different_shares_are_weighted_by_them() -> None:
    """Hard cases were hidden more often: unweighted, hiding would seem to cause their frauds."""
    hard = [CaseReading(0.8, n < 80, None, "fraud", None) for n in range(100)]
    easy = [CaseReading(0.2, n < 20, None, "genuine", None) for n in range(100)]
    fraud = effects([*hard, *easy])[0]
    assert fraud.effect == pytest.approx(0.0)
