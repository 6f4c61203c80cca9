"""Cases: opened by the ledger, worked on by people at once, and closed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from act.records import Records
from servers import postgres_schema
from shroff.act import Case, CaseIntake, CaseQueue, Desk
from shroff.act.intake import REVIEWED
from shroff.collect.values import LONGEST_ID, LONGEST_NAME
from shroff.errors import BrokenChain, CaseConflict, ConfigurationError, NotFound
from shroff.ledger import StoredEntry
from shroff.package import Bundle

HOUR = 3_600_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A control database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('cases') / 'control.db'}"
        return
    with postgres_schema(request.getfixturevalue("postgres_server")) as schema:
        yield schema


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(url: str, clock: Clock) -> Desk:
    return Desk(url, clock=clock)


@pytest.fixture
def intake(url: str, bundle: Bundle, clock: Clock) -> CaseIntake:
    return CaseIntake(url, "ledger", bundle, clock=clock)


@pytest.fixture
def records() -> Records:
    return Records()


def test_payments_of_a_card_are_one_case_ranked_by_expected_loss(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    entries = [
        records.paid("a1", "a", 100.0, 0.5, "review"),
        records.paid("b1", "b", 1_000.0, 0.2, "review"),
        records.paid("c1", "c", 9_000.0, 0.9, "approve"),
        records.paid("a2", "a", 60.0, 0.5, "approve"),
        records.paid("a3", "a", 900.0, 0.4, "review"),
        records.paid("none", None, 10.0, 0.5, "review"),
    ]
    assert intake.take(entries) == 6
    first, second, third = desk.cases()
    assert (first.subject, first.payments, first.amount) == ("a", 3, 1_060.0)
    assert first.expected_loss == pytest.approx(440.0)
    assert first.worth == pytest.approx(88.0)
    assert (first.probability, first.action, first.kind) == (0.5, "review", "card_id")
    assert second.subject == "b"
    assert third.subject.startswith("no subject")
    # an approved payment is no news; one to review is
    assert [event.step for event in desk.case(first.id)[2]] == ["opened", "grew"]
    assert [one.payment_id for one in desk.case(first.id)[1]] == ["a1", "a2", "a3"]


def test_a_card_with_a_character_that_no_database_keeps_stops_no_other(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    assert intake.take([records.paid("a1", "a\0b", 10.0, 0.5, "review")]) == 1
    assert intake.take([records.paid("b1", "b", 10.0, 0.5, "review")]) == 1
    assert {case.payments for case in desk.cases()} == {1}


def test_what_names_a_payment_is_as_long_as_payments_allow(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    """An index of PostgreSQL has no room for a thousand characters of four bytes each."""
    letters = Random(1).choices(range(0x20000, 0x2A6D0), k=LONGEST_NAME)
    card, host = "".join(map(chr, letters)), "".join(map(chr, reversed(letters)))
    longest = [f"{'𠀀' * (LONGEST_ID - 1)}{number}" for number in range(3)]
    entries = [records.paid(one, card, 10.0, 0.5, "review", host=host) for one in longest]
    assert intake.take(entries) == 3
    (case,) = desk.cases(subject=card)
    assert [one.payment_id for one in desk.case(case.id)[1]] == longest
    assert desk.cases(subject=case.subject) == [case]
    assert desk.cases(subject=card[:-1] + "x") == []


def test_a_subject_that_no_database_keeps_is_forgotten(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    intake.take([records.paid("a1", "a\0b", 10.0, 0.5, "review")])
    assert [one.payments for one in desk.cases(subject="a\0b")] == [1]
    assert len(desk.held(["card_id"], ["a\0b"], [])) == 1
    assert desk.forget("card_id", ["a\0b"], ["a1"], "me") == 1
    assert desk.cases(subject="a\0b") == []


def test_records_are_taken_once_however_often_they_come(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    entries = [records.paid(f"p{n}", f"c{n % 3}", 10.0, 0.5, "review") for n in range(30)]
    assert intake.take(entries[:20]) == 20
    assert intake.take(entries) == 10
    assert intake.take(entries) == 0
    assert intake.mark() == 30
    assert [(case.payments, case.amount) for case in desk.cases()] == [(10, 100.0)] * 3


def test_a_case_closes_itself_when_its_labels_have_come(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    intake.take(
        [
            records.paid("a1", "a", 100.0, 0.5, "review"),
            records.paid("a2", "a", 50.0, 0.5, "review"),
            records.paid("a3", "a", 1.0, 0.1, "approve"),
            records.label("a1", False),
            records.label("other", True),
        ]
    )
    (case,) = desk.cases()
    assert case.amount == 51.0
    assert case.expected_loss == pytest.approx(25.1)
    intake.take([records.label("a2", True)])
    assert desk.cases() == []
    (closed,) = desk.cases(closed=True)
    assert (closed.outcome, closed.version) == ("fraud", case.version + 1)
    # the next payment to review opens another case
    intake.take([records.paid("a4", "a", 70.0, 0.5, "review")])
    assert [(one.id, one.payments) for one in desk.cases()] == [(closed.id + 1, 1)]


def test_a_refund_closes_the_case_of_one_payment(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    intake.take(
        [
            records.paid("a1", "a", 100.0, 0.5, "review"),
            records.result("a1", "authorised"),
            records.result("a1", "refunded"),
        ]
    )
    assert [case.outcome for case in desk.cases(closed=True)] == ["refunded"]


def one_case(desk: Desk, intake: CaseIntake, records: Records) -> Case:
    intake.take([records.paid(f"p{records.seq}", f"c{records.seq}", 100.0, 0.5, "review")])
    return desk.cases()[0]


def test_of_two_people_the_second_is_told_what_changed(
    desk: Desk, intake: CaseIntake, records: Records, clock: Clock
) -> None:
    case = one_case(desk, intake, records)
    mine = desk.claim(case.id, "ada", version=case.version)
    with pytest.raises(
        CaseConflict, match="at version 2, not 1; since then ada: claimed at 2023-11-14"
    ):
        desk.decide(case.id, "bob", outcome="fraud", version=case.version)
    with pytest.raises(CaseConflict, match="ada has claimed case 1 until 2023-11-14T23:13:20"):
        desk.claim(case.id, "bob")
    clock.now += HOUR
    # the claim has lapsed
    theirs = desk.claim(case.id, "bob", version=mine.version)
    assert (theirs.holder, theirs.version) == ("bob", mine.version + 1)
    with pytest.raises(CaseConflict, match="bob has claimed"):
        desk.decide(case.id, "ada", outcome="genuine")
    desk.decide(case.id, "bob", outcome="genuine", version=theirs.version)
    with pytest.raises(CaseConflict, match="is closed"):
        desk.decide(case.id, "bob", outcome="fraud")
    with pytest.raises(NotFound):
        desk.claim(99, "ada")


def test_every_step_has_its_reason_and_its_place_in_the_chain(
    desk: Desk, intake: CaseIntake, records: Records, clock: Clock, url: str
) -> None:
    number = one_case(desk, intake, records).id
    desk.claim(number, "ada")
    desk.note(number, "bob", note="called the customer")
    desk.escalate(number, "ada", note="a large one")
    desk.assign(number, "boss", to="cleo", note="knows the merchant")
    slept = desk.snooze(number, "cleo", until=clock.now + HOUR, note="the bank calls back")
    assert (slept.wake, slept.level, slept.holder) == (clock.now + HOUR, 1, None)
    assert desk.cases(waiting=True) == []
    assert desk.next("ada") is None
    clock.now += HOUR
    awake = desk.next("ada")
    assert awake is not None
    desk.release(number, "ada")
    desk.decide(number, "bob", outcome="unclear")
    desk.reopen(number, "boss", note="there is news")
    events = desk.case(number)[2]
    assert [event.step for event in events] == [
        "opened",
        "claimed",
        "noted",
        "escalated",
        "assigned",
        "snoozed",
        "claimed",
        "released",
        "closed",
        "reopened",
    ]
    # a note leaves the version as it is, so that it is in nobody's way
    assert [event.version for event in events] == [1, 2, *range(2, 10)]
    assert events[4].to == "cleo"
    last = desk.verify()
    assert last is not None
    assert last.chain == events[-1].chain
    # with their notes
    assert desk.history() == events
    with pytest.raises(ConfigurationError, match="expected a reason"):
        desk.escalate(number, "ada", note="")
    with pytest.raises(ConfigurationError, match="without a card number"):
        desk.note(number, "ada", note="card 4111 1111 1111 1111")
    with pytest.raises(ConfigurationError, match="in the future"):
        desk.snooze(number, "ada", until=clock.now)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE shroff_case_event SET content = replace(content, 'escalated', 'noted')")
        )
    with pytest.raises(BrokenChain, match="the history of cases was changed: change 4 of 10"):
        desk.verify()
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE shroff_case_event SET content = replace(content, 'noted', 'escalated') "
                "WHERE id = 4"
            )
        )
        connection.execute(text("UPDATE shroff_case_note SET note = 'nothing' WHERE event = 4"))
    engine.dispose()
    with pytest.raises(BrokenChain, match="a note is not as it was written"):
        desk.verify()


def test_twenty_people_at_once_decide_nothing_twice(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    intake.take([records.paid(f"p{n}", f"c{n}", 1.0 + n, 0.5, "review") for n in range(30)])

    def shift(name: str) -> list[int]:
        done = []
        while (case := desk.next(name)) is not None:
            desk.decide(case.id, name, outcome="genuine", version=case.version)
            done.append(case.id)
        return done

    with ThreadPoolExecutor(20) as people:
        done = [one for own in people.map(shift, [f"a{n}" for n in range(20)]) for one in own]
    assert Counter(done) == Counter(range(1, 31))
    assert desk.verify() is not None
    assert len(desk.labels()) == 30


def test_labels_wait_until_the_ledger_has_them(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    intake.take(
        [
            records.paid("a1", "a", 100.0, 0.5, "review"),
            records.paid("a2", "a", 5.0, 0.1, "approve"),
            records.paid("b1", "b", 50.0, 0.5, "review"),
            records.paid("c1", "c", 10.0, 0.5, "review"),
        ]
    )
    a, b, c = (case.id for case in desk.cases())
    desk.decide(a, "ada", outcome="fraud")
    desk.decide(b, "ada", outcome="unclear")
    with pytest.raises(NotFound, match="got 1 of others"):
        desk.decide(c, "ada", outcome="fraud", labels={"a1": True})
    desk.decide(c, "ada", outcome="unclear", labels={"c1": False})
    told = desk.labels()
    assert [(one.payment_id, one.fraud, one.by) for one in told] == [
        ("a1", True, "ada"),
        ("c1", False, "ada"),
    ]
    desk.sent(told[0])
    assert [one.payment_id for one in desk.labels()] == ["c1"]
    # what a decision said comes back as a label: nothing is said again
    intake.take([records.label("a1", True)])
    desk.reopen(a, "ada", note="once more")
    desk.decide(a, "ada", outcome="fraud")
    assert [one.payment_id for one in desk.labels()] == ["c1"]


def test_several_cases_are_closed_or_none(desk: Desk, intake: CaseIntake, records: Records) -> None:
    intake.take([records.paid(f"p{n}", f"c{n}", 10.0, 0.5, "review") for n in range(3)])
    desk.claim(2, "bob")
    with pytest.raises(CaseConflict, match="bob has claimed case 2"):
        desk.decide_all([1, 2, 3], "ada", outcome="fraud")
    assert (len(desk.cases()), desk.labels()) == (3, [])
    assert len(desk.decide_all([1, 2, 3, 3], "bob", outcome="fraud")) == 3
    assert desk.cases() == []


def test_queues_take_cases_by_their_conditions(
    desk: Desk, intake: CaseIntake, records: Records, clock: Clock
) -> None:
    desk.set_queues(
        [
            CaseQueue(name="large", condition="amount > 500", sla_minutes=60, minutes=20),
            CaseQueue(name="likely", condition="probability > 0.6 AND payments = 1", minutes=1),
        ]
    )
    intake.take(
        [
            records.paid("a1", "a", 900.0, 0.5, "review"),
            records.paid("b1", "b", 100.0, 0.7, "review"),
            records.paid("c1", "c", 100.0, 0.5, "review"),
        ]
    )
    found = {case.subject: case for case in desk.cases()}
    queues = {subject: case.queue for subject, case in found.items()}
    assert queues == {"a": "large", "b": "likely", "c": "review"}
    assert found["a"].due == clock.now + HOUR
    assert (found["a"].worth, found["b"].worth) == (22.5, 70.0)
    assert [case.subject for case in desk.cases(queue="likely")] == ["b"]
    with pytest.raises(ConfigurationError, match="each name once"):
        desk.set_queues([CaseQueue(name="a"), CaseQueue(name="a")])
    # a case that is due after the year 9999, or worth an infinite sum, could never be listed
    for never in ({"sla_minutes": 10**12}, {"minutes": 1e-300}, {"minutes": float("inf")}):
        with pytest.raises(ConfigurationError, match="queue `a`: expected `sla_minutes` of 1 to"):
            desk.set_queues([CaseQueue(name="a", **never)])
    with pytest.raises(ConfigurationError, match="card number"):
        desk.assign(1, "ada", to="4111 1111 1111 1111", note="theirs")


def test_pages_go_on_where_the_last_one_ended(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    intake.take([records.paid(f"p{n}", f"c{n}", 10.0 + n // 4, 0.5, "review") for n in range(11)])
    seen: list[int] = []
    after = None
    while page := desk.cases(limit=4, after=after):
        seen += [case.id for case in page]
        after = (page[-1].worth, page[-1].id)
    assert sorted(seen) == list(range(1, 12))
    worth = [desk.case(number)[0].worth for number in seen]
    assert worth == sorted(worth, reverse=True)


def test_payments_are_grouped_by_another_column_where_asked(
    url: str, bundle: Bundle, desk: Desk, records: Records, clock: Clock
) -> None:
    by_host = CaseIntake(url, "ledger", bundle, by="host_id", actions=(*REVIEWED, "decline"))
    entry: Callable[..., StoredEntry] = records.entry
    bodies = [
        {"payment": {"values": {"host_id": "h", "amount": 5.0}}, "probability": 0.9, "action": act}
        for act in ("decline", "review")
    ]
    by_host.take([entry("payment", f"p{n}", body) for n, body in enumerate(bodies)])
    assert [(case.kind, case.action) for case in desk.cases()] == [("host_id", "decline")]
    with pytest.raises(ConfigurationError, match="--by COLUMN"):
        CaseIntake(url, "ledger", bundle, by="nothing", clock=clock)


def test_each_case_that_holds_something_of_a_subject_is_shown_once(
    desk: Desk, intake: CaseIntake, records: Records
) -> None:
    """Also where the schema had another column of subjects before."""
    paid = [("a1", "ada"), ("b1", "bob"), ("b2", "bob")]
    intake.take([records.paid(name, card, 10.0, 0.5, "review") for name, card in paid])
    numbers = {one.subject: one.id for one in desk.cases()}
    found = desk.held(["account_id", "card_id"], ["ada"], ["a1", "b2"])
    assert [(case.id, [one.payment_id for one in payments]) for case, payments, _ in found] == [
        (numbers["ada"], ["a1"]),
        (numbers["bob"], ["b2"]),
    ]
    assert [one.step for one in found[1][2]] == ["opened", "grew"]


@contextmanager
def asked(url: str) -> Iterator[Connection]:
    """A connection to a PostgreSQL database that sees its files."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def found_in(database: Connection, word: str) -> list[str]:
    """The tables and indexes of the schema whose files or statistics have a word."""
    database.exec_driver_sql("CHECKPOINT")
    files = database.exec_driver_sql(
        "SELECT relname, pg_read_binary_file(pg_relation_filepath(oid)) FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i')"
    )
    sampled = database.exec_driver_sql(
        "SELECT tablename, concat(most_common_vals, histogram_bounds) FROM pg_stats "
        "WHERE schemaname = current_schema()"
    )
    return [
        *(name for name, held in files if word.encode() in bytes(held)),
        *(f"statistics of {name}" for name, held in sampled if word in held),
    ]


def test_a_forgotten_subject_leaves_steps_and_nothing_else(
    desk: Desk, intake: CaseIntake, records: Records, url: str
) -> None:
    intake.take(
        [
            records.paid("pay-of-ada", "card-of-ada", 100.0, 0.5, "review"),
            records.paid("b1", "b", 20.0, 0.5, "review"),
            # of hers too, in a case of something else
            records.paid("at-host", "b", 20.0, 0.5, "review"),
        ]
    )
    first = desk.cases()[0]
    if url.startswith("postgresql"):
        with asked(url) as database:
            database.exec_driver_sql("ANALYZE")
            assert found_in(database, "of-ada")
    desk.note(first.id, "bob", note="Ada Lovelace called")
    desk.decide(first.id, "bob", outcome="fraud")
    intake.take([records.paid("second-of-ada", "card-of-ada", 10.0, 0.5, "review")])
    with pytest.MonkeyPatch.context() as patched:
        # as if she had more cases than are read at once
        patched.setattr("shroff.act.subjects.MAX_READ", 1)
        assert desk.forget("card_id", ["card-of-ada"], ["at-host"], "boss") == 2
    assert desk.forget("card_id", ["card-of-ada"], ["at-host"], "boss") == 0
    case, payments, events = desk.case(first.id)
    assert (case.subject, payments) == (f"forgotten {first.id}", [])
    assert [one.step for one in events] == ["opened", "noted", "closed", "forgotten"]
    assert [one.note for one in events] == [None] * 4
    assert desk.verify() is not None
    assert [one.subject for one in desk.cases()] == ["b"]
    assert desk.labels() == []
    other, left, _ = desk.case(desk.cases()[0].id)
    assert [one.payment_id for one in left] == ["b1"]
    assert (other.payments, other.amount, other.expected_loss) == (1, 20.0, 10.0)
    if url.startswith("sqlite"):
        for file in Path(make_url(url).database or "").parent.iterdir():
            held = file.read_bytes()
            assert not any(word in held for word in (b"of-ada", b"Lovelace")), file
    else:
        with asked(url) as database:
            assert found_in(database, "of-ada") == found_in(database, "Lovelace") == []
    # what is forgotten in the ledger opens no case
    lost = msgspec.structs.replace(records.paid("x", "x", 1.0, 0.5, "review"), forgotten=1)
    intake.take([lost])
    assert [one.subject for one in desk.cases()] == ["b"]
