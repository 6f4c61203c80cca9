"""The index against a slow scan of what was recorded, over both databases, sealed or not."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.recorded import ACTIONS, MINUTE, SCHEMA, Paid, Result, Said, write, write_many
from patience import until
from servers import postgres_schema
from shroff.control import LiveKeyring, SubjectKeys
from shroff.evaluate import Cost, total_cost
from shroff.evaluate.cost import Action
from shroff.index import (
    IndexedMinutes,
    IndexedPayment,
    IndexFile,
    IndexFollower,
    PaymentQuery,
    money_kept,
    search_payments,
)
from shroff.ledger import Keyring, Ledger
from shroff.ledger.erasure import SubjectErasure

Event = Paid | Said | Result

paid = st.builds(
    Paid,
    id=st.just(""),
    minute=st.integers(0, 4),
    cents=st.sampled_from([0, 100, 101, 5_000, 10**16]),
    card=st.sampled_from(["c1", "c2", "p1", None]),
    host=st.sampled_from(["h1", "c1", None]),
    action=st.sampled_from(ACTIONS),
    probability=st.sampled_from([None, 0.0, 0.5]),
    ahead=st.sampled_from([0, 0, MINUTE, -5]),
)
labels = st.builds(
    Said,
    id=st.just(""),
    fraud=st.booleans(),
    source=st.sampled_from(["analyst", "chargeback", "shop"]),
    minute=st.integers(0, 4),
)
results = st.builds(Result, id=st.just(""), value=st.sampled_from(["failed", "refunded"]))


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Payments, each with what was said of it later somewhere after it."""
    events = list[Event]()
    for number, one in enumerate(draw(st.lists(paid, min_size=1, max_size=14))):
        name = f"p{number}"
        events.append(one._replace(id=name))
        said = draw(st.lists(labels, max_size=3))
        told = draw(st.lists(results, max_size=1))
        events += [each._replace(id=name) for each in said]
        events += [each._replace(id=name) for each in told]
    return events


queries = st.builds(
    PaymentQuery,
    values=st.sampled_from([(), (), ("c1",), ("p1",), ("c1", "h1"), ("none",)]),
    least=st.sampled_from([None, 0, 10_100]),
    most=st.sampled_from([None, 10_000, 10**18]),
    since=st.sampled_from([None, MINUTE, 2 * MINUTE + 7]),
    until=st.sampled_from([None, 3 * MINUTE, 2 * MINUTE + 7]),
    action=st.sampled_from([None, None, *ACTIONS]),
    limit=st.integers(1, 4),
)


def standing(said: Sequence[Said]) -> bool | None:
    """The label that stands, slowly: the latest of the most trusted source."""
    if not said:
        return None
    ranks = {"chargeback": 0, "analyst": 1}
    least = min(ranks.get(one.source, 2) for one in said)
    trusted = [one for one in said if ranks.get(one.source, 2) == least]
    latest = max(one.arrived for one in trusted)
    return [one for one in trusted if one.arrived == latest][-1].fraud


def scanned(events: Sequence[Event]) -> list[IndexedPayment]:
    """What an index should have, from the events themselves."""
    found = list[IndexedPayment]()
    for seq, one in enumerate(events, start=1):
        if not isinstance(one, Paid):
            continue
        keys = {"card_id": one.card, "host_id": one.host}
        said = [each for each in events if isinstance(each, Said) and each.id == one.id]
        told = [each for each in events if isinstance(each, Result) and each.id == one.id]
        found.append(
            IndexedPayment(
                seq=seq,
                payment_id=one.id,
                time=one.time,
                arrived=one.arrived,
                units=one.cents * 100,
                currency="EUR",
                action=one.action,  # type: ignore[arg-type]  # one of ACTIONS
                probability=one.probability,
                rules=("known",),
                keys={name: value for name, value in keys.items() if value is not None},
                result=told[0].value if told else None,
                fraud=standing(said),
            )
        )
    return found


def matches(one: IndexedPayment, query: PaymentQuery) -> bool:
    names = {one.payment_id, *one.keys.values()}
    return (
        (not query.values or bool(names & set(query.values)))
        and (query.least is None or one.units >= query.least)
        and (query.most is None or one.units <= query.most)
        and (query.since is None or one.time >= query.since)
        and (query.until is None or one.time < query.until)
        and query.action in (None, one.action)
    )


def all_pages(file: IndexFile, query: PaymentQuery) -> list[IndexedPayment]:
    found = list[IndexedPayment]()
    while True:
        page = search_payments(file, query)
        assert len(page.payments) <= query.limit
        found += page.payments
        if page.after is None:
            return found
        query = PaymentQuery(
            values=query.values,
            least=query.least,
            most=query.most,
            since=query.since,
            until=query.until,
            action=query.action,
            limit=query.limit,
            after=page.after,
        )


def counted(payments: Sequence[IndexedPayment]) -> list[IndexedMinutes]:
    cells = dict[tuple[int, Action, bool | None], list[IndexedPayment]]()
    for one in payments:
        cells.setdefault((one.arrived // MINUTE, one.action, one.fraud), []).append(one)
    made = [
        IndexedMinutes(
            minute * MINUTE, "EUR", action, fraud, len(part), sum(one.units for one in part) / 1e4
        )
        for (minute, action, fraud), part in cells.items()
    ]
    order = {None: -1, False: 0, True: 1}
    return sorted(made, key=lambda one: (one.began, ACTIONS.index(one.action), order[one.fraud]))


def require_as_scanned(file: IndexFile, payments: Sequence[IndexedPayment]) -> None:
    newest_first = sorted(payments, key=lambda one: (one.time, one.seq), reverse=True)
    assert all_pages(file, PaymentQuery(limit=100)) == newest_first
    counts = counted(payments)
    assert IndexedMinutes.read(file, since=0, until=10 * MINUTE) == counts
    days = IndexedMinutes.read(file, since=0, until=1, minutes=1_440)
    assert sum(one.payments for one in days) == len(payments)
    assert {(one.began, one.action, one.fraud) for one in days} == {
        (0, one.action, one.fraud) for one in counts
    }


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A control database without keys, which takes a moment to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('control') / 'control.db'}"


@settings(max_examples=40, deadline=None)
@given(events=histories(), asked=st.lists(queries, min_size=1, max_size=6), data=st.data())
def test_it_finds_and_counts_what_a_scan_does(
    control: str, events: list[Event], asked: list[PaymentQuery], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        url, file = f"sqlite:///{folder}/ledger.db", IndexFile(Path(folder) / "index.db")
        cut = data.draw(st.integers(0, len(events)))
        follower = IndexFollower(file, url, control, SCHEMA, SCHEMA.keys)
        with Ledger(url) as ledger:
            write(ledger, events[:cut])
            follower.catch_up()
            write(ledger, events[cut:])
        follower.catch_up()
        truth = scanned(events)
        require_as_scanned(file, truth)
        newest_first = sorted(truth, key=lambda one: (one.time, one.seq), reverse=True)
        for query in asked:
            expected = [one for one in newest_first if matches(one, query)]
            assert all_pages(file, query) == expected
        for one in truth:
            assert one in search_payments(file, PaymentQuery(values=(one.payment_id,))).payments


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    with postgres_schema(request.getfixturevalue("postgres_server")) as schema:
        yield schema


EVENTS: list[Event] = [
    Paid("p1", 1, 1_000, "ada", "h1", "decline"),
    Paid("p2", 1, 2_000, "bob", "h1"),
    Said("p1", fraud=True, minute=2),
    Paid("p3", 2, 3_000, "ada", "h2", "review"),
    Result("p3", "failed"),
]


def test_who_is_forgotten_is_gone_from_it_and_from_a_new_one(url: str, tmp_path: Path) -> None:
    control, file = f"sqlite:///{tmp_path / 'control.db'}", IndexFile(tmp_path / "index.db")
    keys, ring = SubjectKeys(control), Keyring(b"secret")
    live = LiveKeyring(keys, ring, SCHEMA)
    live.refresh()
    follower = IndexFollower(file, url, control, SCHEMA, SCHEMA.keys)
    with Ledger(url, keyring=ring) as ledger:
        write(ledger, EVENTS, sealed=True)
        assert follower.catch_up() == len(EVENTS)
        require_as_scanned(file, scanned(EVENTS))
        erasure = SubjectErasure(ledger, ["ada"], traces=True, arrived=1)
        erasure.trace()
        keys.begin("card_id", SCHEMA.identifying, anew=True)
        live.refresh()
        write(ledger, [Paid("p4", 3, 4_000, "ada")], sealed=True)  # she pays again
        follower.catch_up()
        erasure.finish(keys.destroy, by="test", at="now")
    follower.catch_up()
    left = [one for one in scanned(EVENTS) if one.keys["card_id"] == "bob"]
    page = search_payments(file, PaymentQuery())
    assert [one.payment_id for one in page.payments] == ["p4", "p2"]
    assert page.payments[1] == left[0]
    assert search_payments(file, PaymentQuery(values=("h2",))).payments == ()
    minutes = IndexedMinutes.read(file, since=0, until=10 * MINUTE)
    assert [(one.began // MINUTE, one.payments) for one in minutes] == [(1, 1), (3, 1)]
    for part in tmp_path.glob("index.db*"):
        assert b'"p3"' not in part.read_bytes()
        assert b"h2" not in part.read_bytes()
    anew = IndexFile(tmp_path / "another.db")
    IndexFollower(anew, url, control, SCHEMA, SCHEMA.keys).catch_up()
    assert search_payments(anew, PaymentQuery()) == page
    assert IndexedMinutes.read(anew, since=0, until=10 * MINUTE) == minutes


def test_another_ledger_another_schema_or_a_broken_file_make_it_anew(tmp_path: Path) -> None:
    control, file = f"sqlite:///{tmp_path / 'control.db'}", IndexFile(tmp_path / "index.db")
    one, two = (f"sqlite:///{tmp_path / name}" for name in ("one.db", "two.db"))
    for url, events in ((one, EVENTS), (two, EVENTS[:2])):
        with Ledger(url) as ledger:
            write(ledger, events)
    IndexFollower(file, one, control, SCHEMA, SCHEMA.keys).catch_up()
    IndexFollower(file, two, control, SCHEMA, SCHEMA.keys).catch_up()
    require_as_scanned(file, scanned(EVENTS[:2]))
    fewer = SCHEMA.__class__(id="id", time="at", amount="amount", keys=["host_id"])
    IndexFollower(file, two, control, fewer, fewer.keys).catch_up()
    found = search_payments(file, PaymentQuery(values=("h1",))).payments
    assert [one.keys for one in found] == [{"host_id": "h1"}] * 2
    file.path.write_bytes(b"no database" * 1_000)
    IndexFollower(file, one, control, SCHEMA, SCHEMA.keys).catch_up()
    require_as_scanned(file, scanned(EVENTS))


def test_an_index_that_was_never_followed_is_empty(tmp_path: Path) -> None:
    file = IndexFile(tmp_path / "home" / "index.db")
    assert search_payments(file, PaymentQuery()) == ((), None)
    assert IndexedMinutes.read(file, since=0, until=MINUTE) == []


FOLLOWING = """
import sys
from pathlib import Path
from index.recorded import SCHEMA
from shroff.index import IndexFile, IndexFollower
import shroff.index.follow as follow
follow._PART_RECORDS = 50
home = Path(sys.argv[1])
file = IndexFile(home / "index.db")
ledger, control = (f"sqlite:///{home / name}" for name in ("ledger.db", "control.db"))
IndexFollower(file, ledger, control, SCHEMA, SCHEMA.keys).catch_up()
"""


def test_killed_while_it_follows_it_takes_each_record_once(tmp_path: Path) -> None:
    payments = [Paid(f"p{n}", n // 100, 100 + n, f"c{n % 7}") for n in range(4_000)]
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        write_many(ledger, payments)
    file, tests = tmp_path / "index.db", Path(__file__).parents[1]

    def taken() -> int:
        if not file.exists():
            return 0
        with closing(sqlite3.connect(file)) as connection:
            try:
                return int(connection.execute("SELECT seq FROM mark").fetchone()[0])
            except (sqlite3.OperationalError, TypeError):
                return 0  # it is being made

    for stop in (50, 900):
        command = [sys.executable, "-c", FOLLOWING, str(tmp_path)]
        with subprocess.Popen(command, cwd=tests) as follower:
            until(lambda stop=stop: taken() >= stop)  # type: ignore[misc]
            follower.kill()
    assert 900 <= taken() < 4_000
    control = f"sqlite:///{tmp_path / 'control.db'}"
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    IndexFollower(IndexFile(file), url, control, SCHEMA, SCHEMA.keys).catch_up()
    cells = IndexedMinutes.read(IndexFile(file), since=0, until=100 * MINUTE)
    assert Counter({one.began // MINUTE: one.payments for one in cells}) == Counter(
        one.minute for one in payments
    )
    assert len(all_pages(IndexFile(file), PaymentQuery(values=("c3",), limit=100))) == 571


def test_money_is_what_a_sum_over_payments_says(tmp_path: Path) -> None:
    actions = ["approve", "review", "decline", "decline", "approve"]
    frauds = [True, False, True, False, False]
    events: list[Event] = [
        Paid(f"p{n}", 1, 1_000 + 700 * n, action=action) for n, action in enumerate(actions)
    ]
    events += [Said(f"p{n}", fraud) for n, fraud in enumerate(frauds)]
    events += [Paid(f"unknown {one}", 1, 500, action=one) for one in ("challenge", "decline")]
    url, file = f"sqlite:///{tmp_path / 'ledger.db'}", IndexFile(tmp_path / "index.db")
    with Ledger(url) as ledger:
        write(ledger, events)
    IndexFollower(file, url, f"sqlite:///{tmp_path / 'control.db'}", SCHEMA, SCHEMA.keys).catch_up()
    cost = Cost(review=4.0, declined=15.0, miss_rate=0.1)
    (money,) = money_kept(IndexedMinutes.read(file, since=0, until=2 * MINUTE, minutes=60), cost)
    amounts = np.array([10.0 + 7.0 * n for n in range(5)])
    paid_for = total_cost(np.array(frauds), np.array(actions), amounts, cost)
    assert money.saved == pytest.approx(float(amounts[frauds].sum()) - paid_for)
    assert (money.lost, money.stopped, money.unknown) == (10.0, 24.0, 2)


def test_what_a_page_reads_keeps_little_memory_however_large_the_index(tmp_path: Path) -> None:
    """Each thread of a console keeps what its largest page took."""
    file = IndexFile(tmp_path / "index.db")
    for opened, least, most in ((file.reading, 0, 4_096), (file.changing, 32_768, 131_072)):
        with opened() as connection:
            (negative_kib,) = connection.execute("PRAGMA cache_size").fetchone()
            assert least < -negative_kib <= most


def test_a_page_sees_one_state(tmp_path: Path) -> None:
    """Who is forgotten, or an index begun anew, between two questions of a page changes neither."""
    file, count = IndexFile(tmp_path / "index.db"), "SELECT count(*) FROM day"
    file.make()
    with file.changing() as connection:
        connection.execute("INSERT INTO day VALUES (1, 'EUR', 0, 0, 1, 1.0)")
    with file.reading() as page:
        before = page.execute(count).fetchone()
        with file.changing() as connection:
            file.begin_anew(connection, "")
        assert page.execute(count).fetchone() == before == (1,)
    with file.reading() as page:
        assert page.execute(count).fetchone() == (0,)
