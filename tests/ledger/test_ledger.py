"""What a ledger keeps, finds and proves."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import Pool

from servers import postgres_schema
from shroff.errors import (
    BadPayment,
    BrokenChain,
    ConfigurationError,
    DataError,
    MissingExtra,
    PaymentConflict,
)
from shroff.ledger import Entry, Kind, Ledger, Outcome, StoredEntry, committer
from shroff.ledger.archive import GENESIS_HEAD
from shroff.ledger.statements import commit

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]
Hold = Callable[[Ledger], Callable[[], None]]

IDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=4
)
INT64 = st.integers(-(2**63), 2**63 - 1)
ENTRIES = st.builds(
    Entry,
    st.sampled_from(["payment", "result", "label"]),
    st.sampled_from(["a", "b", "c"]) | IDS,
    INT64,
    INT64,
    st.sampled_from([bytes(32), b"1" * 32]) | st.binary(min_size=32, max_size=32),
    st.binary(max_size=50).filter(lambda body: not body.startswith(b"\x01key")),
)


def plain(stored: StoredEntry) -> Entry:
    return Entry(
        stored.kind, stored.payment_id, stored.arrived, stored.time, stored.digest, stored.body
    )


def key(entry: Entry) -> tuple[object, ...]:
    """What a ledger has once: a payment and its result by the id, a label also by its digest."""
    return entry.kind, entry.payment_id, entry.digest if entry.kind == "label" else None


def chains(entries: Sequence[Entry]) -> list[bytes]:
    """The chain, worked out the slow and obvious way."""
    previous, found = bytes(32), []
    for seq, entry in enumerate(entries, start=1):
        texts = [entry.kind.encode(), entry.payment_id.encode(), entry.digest, entry.body]
        numbers = b"".join(
            n.to_bytes(8, "big", signed=True) for n in (seq, entry.arrived, entry.time)
        )
        lengths = b"".join(len(text).to_bytes(4, "big") for text in texts)
        previous = sha256(previous + numbers + lengths + b"".join(texts)).digest()
        found.append(previous)
    return found


def test_keeps_what_was_written(ledger: Ledger, entry: MakeEntry) -> None:
    one, two = entry(1), entry(2, kind="label", payment_id="pay-1")
    asyncio.run(ledger.write(one))
    asyncio.run(ledger.write(two))
    first, second = ledger.entries()
    assert (plain(first), plain(second)) == (one, two)
    assert (first.seq, second.seq) == (1, 2)
    assert [first.chain, second.chain] == chains([one, two])
    assert ledger.find("pay-1") == first
    assert ledger.verify().seq == 2


def test_an_empty_ledger(ledger: Ledger) -> None:
    assert list(ledger.entries()) == []
    assert list(ledger.entries(since=0)) == []
    assert ledger.find("pay-1") is None
    assert ledger.verify().seq == 0


def test_each_kind_is_found_by_itself(ledger: Ledger, entry: MakeEntry, written: Write) -> None:
    written(ledger, [entry(1, kind="result"), entry(2, kind="label", payment_id="pay-1")])
    assert ledger.find("pay-1") is None
    result, label = ledger.find("pay-1", "result"), ledger.find("pay-1", "label")
    assert result is not None
    assert label is not None
    assert (result.kind, result.time, label.kind, label.time) == ("result", 1, "label", 2)
    assert ledger.find("pay-2", "result") is None


def test_several_payments_are_found_together(
    ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(ledger, [entry(1), entry(2), entry(3, kind="label"), entry(2, kind="result")])
    found = ledger.find_all(["pay-2", "pay-9", "pay-3", "pay-1"])
    assert found == [ledger.find("pay-2"), None, None, ledger.find("pay-1")]
    assert None not in (found[0], found[3])
    assert ledger.find_all([]) == []


@pytest.mark.parametrize(
    ("kind", "used"),
    [
        ("payment", "shroff_ledger_payment (payment_id=?)"),
        ("result", "shroff_ledger_later (payment_id=? AND kind=?)"),
        ("label", "shroff_ledger_label (payment_id=?)"),
    ],
)
def test_finding_uses_the_index(file: Path, kind: Kind, used: str) -> None:
    with Ledger(f"sqlite:///{file}") as ledger, closing(sqlite3.connect(file)) as connection:
        query = ledger._finder._queries[kind].text
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", ("pay-1",)).fetchall()
    assert used in plan[0][3]


def test_finding_uses_the_index_of_a_server(
    url: str, ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    if url.startswith("sqlite"):
        pytest.skip("its plan is tested by itself")
    written(
        ledger, [entry(n, kind=kind) for n in range(300) for kind in ("payment", "result", "label")]
    )
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE shroff_ledger")
        for kind, used in (("payment", "shroff_ledger_payment"), ("label", "shroff_ledger_label")):
            query = f"EXPLAIN {ledger._finder._queries[kind].text}"  # type: ignore[index]
            plan = connection.exec_driver_sql(query, {"payment_id": "pay-7"}).scalars().all()
            assert f"Index Scan using {used}" in plan[0]
        several = ledger._finder._several
        assert several is not None
        wanted = {"payment_ids": ["pay-7", "pay-9"]}
        plan = connection.exec_driver_sql(f"EXPLAIN {several.text}", wanted).scalars().all()
        assert "Scan using shroff_ledger_payment" in plan[0] or "shroff_ledger_payment" in plan[1]
    engine.dispose()


def test_reading_needs_no_open_ledger(
    url: str, ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(ledger, [entry(1)])
    reader = Ledger(url)
    assert reader.find("pay-1") == ledger.find("pay-1")
    assert reader.verify().seq == 1
    reader.close()


def test_goes_on_after_reopening(url: str, entry: MakeEntry, written: Write) -> None:
    for number in range(3):
        with Ledger(url) as ledger:
            assert written(ledger, [entry(number)]) == [None]
    assert [stored.seq for stored in Ledger(url).entries()] == [1, 2, 3]
    assert Ledger(url).verify().seq == 3


@contextmanager
def listening(name: str, listener: Callable[..., None]) -> Iterator[None]:
    """Hear of every connection of any pool."""
    event.listen(Pool, name, listener)
    try:
        yield
    finally:
        event.remove(Pool, name, listener)


def test_since(ledger: Ledger, entry: MakeEntry, written: Write) -> None:
    arrivals = [50, 10, 40, 20, 30]
    written(ledger, [entry(number, arrived=arrived) for number, arrived in enumerate(arrivals)])
    assert [stored.arrived for stored in ledger.entries(since=30)] == [50, 40, 30]
    assert [stored.arrived for stored in ledger.entries(since=51)] == []


def test_streams_past_a_page_and_stops_at_the_end_it_saw(
    ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(ledger, [entry(number) for number in range(2_500)])
    stream = ledger.entries()
    first = next(stream)
    written(ledger, [entry(2_500)])
    assert [first.seq, *(stored.seq for stored in stream)] == list(range(1, 2_501))


def test_a_reader_that_stops_halfway_holds_no_connection(
    ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(ledger, [entry(number) for number in range(1_500)])
    taken: list[object] = []

    def take(connection: object, *_: object) -> None:
        taken.append(connection)

    def give_back(connection: object, *_: object) -> None:
        taken.remove(connection)

    with listening("checkout", take), listening("checkin", give_back):
        streams = [
            ledger.entries(),
            ledger.entries(since=0),
            ledger.proof(GENESIS_HEAD, tolerant=False).read(0),
        ]
        assert [next(stream).seq for stream in streams] == [1, 1, 1]
        assert taken == []
        assert [len(list(stream)) for stream in streams] == [1_499] * 3


@pytest.mark.parametrize(("max_group", "groups"), [(512, 1), (10, 3)])
def test_a_group_is_one_commit(
    url: str,
    entry: MakeEntry,
    held: Hold,
    max_group: int,
    groups: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Outcome] = []
    seen: list[Connection] = []

    def counted(connection: Connection) -> None:
        seen.append(connection)
        commit(connection)

    with Ledger(url, max_group=max_group) as ledger:
        release = held(ledger)
        monkeypatch.setattr(committer, "commit", counted)
        for number in range(1, 26):
            ledger.append(entry(number), told.append)
        release()
    assert told == [None] * 25
    assert len(seen) == groups


def test_one_wake_up_per_group(ledger: Ledger, entry: MakeEntry, held: Hold) -> None:
    woken: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(*arguments: object) -> asyncio.Handle:
            woken.append(arguments)
            return wake(*arguments)  # type: ignore[arg-type]

        release = held(ledger)
        tasks = [asyncio.create_task(ledger.write(entry(number))) for number in range(1, 51)]
        await asyncio.sleep(0)
        loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]
        release()
        await asyncio.gather(*tasks)
        assert len(woken) == 1

    asyncio.run(main())
    assert ledger.verify().seq == 51


def test_order_is_the_order_of_calls(ledger: Ledger, entry: MakeEntry, written: Write) -> None:
    numbers = [7, 3, 9, 1, 8]
    written(ledger, [entry(number) for number in numbers])
    assert [stored.time for stored in ledger.entries()] == numbers


def test_many_threads(ledger: Ledger, entry: MakeEntry, written: Write) -> None:
    parts = [[entry(100 * part + number) for number in range(100)] for part in range(8)]
    threads = [Thread(target=written, args=(ledger, part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify().seq == 800
    times = [stored.time for stored in ledger.entries()]
    for part in range(8):
        assert [time for time in times if time // 100 == part] == list(
            range(100 * part, 100 * part + 100)
        )


@settings(max_examples=25)
@given(st.lists(ENTRIES, max_size=20), st.integers(1, 5))
def test_any_entries_come_back(entries: list[Entry], max_group: int) -> None:
    kept: list[Entry] = []
    for entry in entries:
        if key(entry) not in map(key, kept):
            kept.append(entry)
    refused: list[Outcome] = []
    with TemporaryDirectory() as folder:
        with Ledger(f"sqlite:///{folder}/ledger.db", max_group=max_group) as ledger:
            for entry in entries:
                ledger.append(entry, lambda outcome: refused.append(outcome) if outcome else None)
        found = list(Ledger(f"sqlite:///{folder}/ledger.db").entries())
        assert Ledger(f"sqlite:///{folder}/ledger.db").verify().seq == len(kept)
    assert [plain(stored) for stored in found] == kept
    assert [stored.chain for stored in found] == chains(kept)
    assert len(refused) == len(entries) - len(kept)


def test_a_conflict_spares_its_group(ledger: Ledger, entry: MakeEntry, held: Hold) -> None:
    release = held(ledger)
    told: list[Outcome] = []
    again = [entry(3, payment_id="pay-1"), entry(5, kind="result", payment_id="pay-1")]
    group = [
        entry(1),
        entry(0),
        entry(2),
        again[0],
        entry(4, kind="result", payment_id="pay-1"),
        again[1],
    ]
    for item in group:
        ledger.append(item, told.append)
    release()
    ledger.close()
    assert [outcome is not None for outcome in told] == [False, True, False, True, False, True]
    assert {type(told[at]) for at in (1, 3, 5)} == {PaymentConflict}
    assert [stored.time for stored in ledger.entries()] == [0, 1, 2, 4]
    assert ledger.verify().seq == 4
    assert "pay-" not in str(told[1])


def test_a_conflict_is_raised_to_the_coroutine(ledger: Ledger, entry: MakeEntry) -> None:
    asyncio.run(ledger.write(entry(1)))
    with pytest.raises(PaymentConflict, match="already has a payment with this id"):
        asyncio.run(ledger.write(entry(2, payment_id="pay-1")))
    asyncio.run(ledger.write(entry(3, kind="label")))
    with pytest.raises(PaymentConflict, match="already has a label with this id"):
        asyncio.run(ledger.write(entry(3, kind="label")))


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (Entry("payment", "", 1, 1, bytes(32), b""), "1 to 1024 bytes of UTF-8: this one has 0"),
        (Entry("payment", "é" * 600, 1, 1, bytes(32), b""), "this one has 1200"),
        (Entry("payment", "a\0b", 1, 1, bytes(32), b""), "U\\+0000"),
        (Entry("payment", "\ud800", 1, 1, bytes(32), b""), "lone surrogate"),
        (Entry("payment", "a", 1, 1, bytes(31), b""), "32 bytes .*, got 31"),
        (Entry("payment", "a", 2**63, 1, bytes(32), b""), "within 64 bits"),
        (Entry("payment", "a", 1, -(2**63) - 1, bytes(32), b""), "within 64 bits"),
        (Entry("refund", "a", 1, 1, bytes(32), b""), "payment, result, label"),  # type: ignore[arg-type]
        (Entry("payment", "a", 1, 1.5, bytes(32), b""), "got other types"),  # type: ignore[arg-type]
        (Entry("payment", "a", 1, 1, bytes(32), b"\x01key of nobody"), "begins as a sealed"),
        (Entry("payment", "a", 1, 1, bytes(32), bytes(2**26 + 1)), "at most 67,108,864 bytes"),
    ],
)
def test_refuses_an_entry_that_cannot_be_kept(ledger: Ledger, bad: Entry, sentence: str) -> None:
    with pytest.raises(BadPayment, match=sentence):
        ledger.append(bad, lambda outcome: None)
    with pytest.raises(BadPayment, match=sentence):
        asyncio.run(ledger.write(bad))
    assert ledger.verify().seq == 0


@pytest.mark.parametrize(
    ("tampering", "sentence"),
    [
        (
            ["UPDATE shroff_ledger SET arrived = arrived + 1 WHERE seq = 3"],
            "record 3 does not follow",
        ),
        (["UPDATE shroff_ledger SET payment_id = 'x' WHERE seq = 1"], "record 1 does not follow"),
        (["UPDATE shroff_ledger SET digest = chain WHERE seq = 4"], "record 4 does not follow"),
        (["UPDATE shroff_ledger SET kind = 'label' WHERE seq = 5"], "record 5 does not follow"),
        (["UPDATE shroff_ledger SET chain = digest WHERE seq = 2"], "record 2 does not follow"),
        (["DELETE FROM shroff_ledger WHERE seq = 1"], "record 1 is missing"),
        (["DELETE FROM shroff_ledger WHERE seq = 3"], "record 3 is missing"),
        (["DELETE FROM shroff_ledger WHERE seq >= 4"], "record 4 is missing"),
        (
            [
                "DELETE FROM shroff_ledger WHERE seq = 3",
                "UPDATE shroff_ledger SET seq = 3 WHERE seq = 4",
                "UPDATE shroff_ledger SET seq = 4 WHERE seq = 5",
            ],
            "record 3 does not follow",
        ),
        (
            [
                "UPDATE shroff_ledger SET seq = -2 WHERE seq = 2",
                "UPDATE shroff_ledger SET seq = 2 WHERE seq = 3",
                "UPDATE shroff_ledger SET seq = 3 WHERE seq = -2",
            ],
            "record 2 does not follow",
        ),
        (
            [
                "INSERT INTO shroff_ledger SELECT 6, 'label', payment_id, arrived, time, digest, "
                "body, chain FROM shroff_ledger WHERE seq = 5"
            ],
            "record 6 was not written by the ledger",
        ),
        (
            [
                "UPDATE shroff_ledger_head SET chain = (SELECT chain FROM shroff_ledger WHERE seq "
                "= 1)"
            ],
            "record 5 is not",
        ),
    ],
)
def test_tampering_is_seen(
    url: str, entry: MakeEntry, written: Write, tampering: list[str], sentence: str
) -> None:
    with Ledger(url) as ledger:
        written(ledger, [entry(number) for number in range(5)])
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in tampering:
            connection.exec_driver_sql(statement)
    engine.dispose()
    with pytest.raises(DataError, match=f"the ledger was changed: {sentence}"):
        ledger.verify()


def test_a_value_of_another_type_is_seen(file: Path, entry: MakeEntry, written: Write) -> None:
    with Ledger(f"sqlite:///{file}") as ledger:
        written(ledger, [entry(number) for number in range(5)])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE shroff_ledger SET body = CAST(body AS TEXT) WHERE seq = 3")
    with pytest.raises(DataError, match="record 3 holds a value of another type"):
        ledger.verify()


def test_refuses_another_format(url: str) -> None:
    with Ledger(url):
        pass
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE shroff_ledger_head SET version = 1")
    engine.dispose()
    ledger = Ledger(url)
    with pytest.raises(ConfigurationError, match="expected a ledger of format 3, got format 1"):
        ledger.open()
    for use in (
        ledger.open,
        ledger.verify,
        lambda: next(ledger.entries()),
        lambda: ledger.find("pay-1", "label"),
    ):
        with pytest.raises(ConfigurationError, match="got format 1"):
            use()


def test_a_ledger_has_one_name_for_all_who_write_it(
    url: str, entry: MakeEntry, written: Write
) -> None:
    with Ledger(url) as ledger:
        written(ledger, [entry(1)])
        name = ledger.identity
    engine = create_engine(url)
    with Ledger(url) as again:
        assert again.identity == name
        again.renew_identity()
        other = again.identity
        assert other not in ("", name)
    with engine.begin() as connection:
        # as ledgers were before they had names
        connection.exec_driver_sql("DROP TABLE shroff_ledger_identity")
    engine.dispose()
    with Ledger(url) as nameless:
        assert nameless.identity not in ("", name, other)
        assert nameless.verify().seq == 1


def test_two_who_name_a_ledger_anew_agree(postgres_server: str) -> None:
    with postgres_schema(postgres_server) as url, Ledger(url) as one, Ledger(url) as two:
        before = one.identity
        one.renew_identity()
        two.renew_identity()
        assert one.identity == two.identity != before


def test_a_ledger_holds_the_records_it_has(
    ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    empty = ledger.head()
    written(ledger, [entry(1), entry(2)])
    last = ledger.durable
    assert last == ledger.head()
    assert ledger.holds(empty)
    assert ledger.holds(last)
    assert not ledger.holds(last._replace(chain=bytes(32)))
    assert not ledger.holds(last._replace(seq=3))


def test_the_format_before_is_converted_where_it_is(
    url: str, entry: MakeEntry, written: Write
) -> None:
    with Ledger(url) as ledger:
        written(ledger, [entry(number) for number in range(3)])
        before = ledger.verify()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE shroff_ledger_head SET version = 2")
        for index in ("start", "label", "later"):
            connection.exec_driver_sql(f"DROP INDEX shroff_ledger_{index}")
        before_it = "ON shroff_ledger (payment_id, kind) WHERE kind <> 'payment'"
        connection.exec_driver_sql(f"CREATE UNIQUE INDEX shroff_ledger_later {before_it}")
    engine.dispose()
    with pytest.raises(
        ConfigurationError, match="got format 2: `shroff serve` and `shroff consume` convert it"
    ):
        Ledger(url).verify()
    with Ledger(url) as ledger:
        assert ledger.verify() == before
        labels = [entry(number, kind="label", payment_id="pay-1") for number in (1, 2, 1)]
        assert [outcome is None for outcome in written(ledger, [entry(3), *labels])] == [
            True,
            True,
            True,
            False,
        ]
        assert [one.time for one in ledger.labels("pay-1")] == [1, 2]
    assert Ledger(url).verify().seq == 6


def test_a_proof_can_begin_behind_what_was_proved(
    file: Path, entry: MakeEntry, written: Write
) -> None:
    with Ledger(f"sqlite:///{file}") as ledger:
        written(ledger, [entry(number) for number in range(5)])
        proved = ledger.verify()
        written(ledger, [entry(number) for number in range(5, 8)])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE shroff_ledger SET body = x'00' WHERE seq = 2")
    assert ledger.verify(after=proved).seq == 8
    with pytest.raises(BrokenChain, match="record 6 does not follow"):
        ledger.verify(after=proved._replace(chain=bytes(32)))


def test_is_opened_once(ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match="open already"):
        ledger.open()


@pytest.mark.parametrize(
    "bad",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "mysql://secret@host/db",
        "secret",
    ],
)
def test_refuses_a_url_it_cannot_use(bad: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected (a|the) ledger") as raised:
        Ledger(bad)
    assert "secret" not in str(raised.value)


def test_names_the_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'shroff\[postgres\]'"):
        Ledger("postgresql+psycopg://host/database")


def test_refuses_limits_below_one() -> None:
    with pytest.raises(ConfigurationError, match="max_group=0"):
        Ledger("sqlite:///x.db", max_group=0)
