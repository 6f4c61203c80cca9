"""Card testing: many payments of one host in a short time are one case, not hundreds."""

from __future__ import annotations

import msgspec
import pytest

from act.records import Records
from shroff.act import CaseIntake, Desk
from shroff.act.case import CaseSpike
from shroff.act.spikes import read_spike
from shroff.errors import CaseConflict, ConfigurationError
from shroff.ledger import StoredEntry
from shroff.package import Bundle

MINUTE = 60_000_000
RULE = CaseSpike(column="host_id", payments=5, minutes=10)


@pytest.fixture
def desk(url: str) -> Desk:
    return Desk(url)


@pytest.fixture
def intake(url: str, bundle: Bundle) -> CaseIntake:
    return CaseIntake(url, "ledger", bundle, spikes=[RULE])


class Tries(Records):
    """Payments of cards from hosts, each a minute after the one before unless told."""

    at = 1_700_000_000_000_000

    def tried(
        self, card: str, host: str = "h", action: str = "review", *, later: int = MINUTE
    ) -> StoredEntry:
        self.at += later
        values = {"card_id": card, "host_id": host, "amount": 2.0}
        body = {"payment": {"values": values}, "probability": 0.5, "action": action}
        made = self.entry("payment", f"p{self.seq}", body)
        return msgspec.structs.replace(made, arrived=self.at)


def test_a_spike_loses_what_is_forgotten_and_is_erased_with_the_last(
    desk: Desk, intake: CaseIntake
) -> None:
    tries = Tries()
    made = [tries.tried(card) for card in "aaaab"]
    intake.take(made)
    desk.forget("card_id", ["b"], [made[-1].payment_id], "boss")
    (group,) = desk.cases()
    assert (group.kind, group.payments, group.expected_loss) == ("host_id", 4, 4.0)
    desk.forget("card_id", ["a"], [one.payment_id for one in made[:-1]], "boss")
    assert desk.cases() == []
    assert desk.case(group.id)[0].subject == f"forgotten {group.id}"
    assert desk.verify() is not None


def test_hundreds_of_tried_cards_are_one_case_of_their_host(desk: Desk, intake: CaseIntake) -> None:
    tries = Tries()
    intake.take([tries.tried("a"), tries.tried("b"), tries.tried("c", action="decline")])
    desk.claim(1, "ada")
    # declined payments count; genuine ones and those of other hosts do not
    intake.take([tries.tried("d", "other"), tries.tried("e", action="approve")])
    assert {case.kind for case in desk.cases()} == {"card_id"}
    intake.take([tries.tried("f", action="decline"), tries.tried("a")])
    (group,) = [case for case in desk.cases() if case.kind == "host_id"]
    assert (group.subject, group.payments, group.amount) == ("h", 5, 10.0)
    assert {case.subject for case in desk.cases()} == {"h", "d"}
    intake.take([tries.tried(f"more-{n}", later=1_000) for n in range(200)])
    (group,) = [case for case in desk.cases() if case.kind == "host_id"]
    assert (len(desk.cases()), group.payments) == (2, 205)
    assert group.expected_loss == pytest.approx(205.0)
    assert len(desk.case(group.id)[1]) == 205
    # whoever works on a card's case is told where it goes on
    with pytest.raises(CaseConflict, match=f"was joined to case {group.id}"):
        desk.decide(1, "ada", outcome="fraud")
    assert desk.case(1)[2][-1].step == "joined"
    desk.decide(group.id, "ada", outcome="fraud", version=group.version)
    assert desk.case(1)[0].outcome == "fraud"
    assert len(desk.labels(1_000)) == 205
    assert desk.verify() is not None
    # afterwards a card has a case of its own again
    intake.take([tries.tried("a")])
    assert {case.subject for case in desk.cases()} == {"a", "d"}


def test_few_payments_in_a_long_time_are_no_spike(desk: Desk, intake: CaseIntake) -> None:
    tries = Tries()
    intake.take([tries.tried(f"c{n}", later=3 * MINUTE) for n in range(12)])
    assert {case.kind for case in desk.cases()} == {"card_id"}


def test_a_spike_closes_when_all_its_payments_are_labelled(desk: Desk, intake: CaseIntake) -> None:
    tries = Tries()
    intake.take([tries.tried(f"c{n}") for n in range(5)])
    (group,) = desk.cases()
    intake.take([tries.label(f"p{n}", True) for n in range(4)])
    assert desk.cases()[0].amount == 2.0
    intake.take([tries.label("p4", False)])
    assert desk.cases() == []
    assert desk.case(group.id)[0].outcome == "fraud"


def test_records_taken_in_parts_give_the_same_cases(url: str, bundle: Bundle) -> None:
    tries = Tries()
    entries = [tries.tried(f"c{n % 7}", f"h{n % 3}", later=1_000 * (n % 5 + 1)) for n in range(60)]
    found = []
    for size in (1, 7, 60):
        own = f"{url}-{size}"
        taking = CaseIntake(own, "ledger", bundle, spikes=[RULE])
        for start in range(0, 60, size):
            taking.take(entries[start : start + size])
        listed = Desk(own).cases()
        found.append([(one.kind, one.subject, one.payments, one.worth) for one in listed])
        assert sum(one.payments for one in listed) == 60
    assert found[0] == found[1] == found[2]


def test_a_rule_is_read_and_checked(url: str, bundle: Bundle) -> None:
    assert read_spike("host_id=5/10m") == RULE
    for wrong in ("host_id", "host_id=1/10m", "host_id=5/10", "=5/10m"):
        with pytest.raises(ConfigurationError, match="COLUMN=PAYMENTS/MINUTESm"):
            read_spike(wrong)
    for column in ("card_id", "nothing"):
        with pytest.raises(ConfigurationError, match="another column"):
            CaseIntake(url, "ledger", bundle, spikes=[CaseSpike(column=column)])
