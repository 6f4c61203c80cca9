"""What a start reads of a ledger: each record once at most, and of old ones nothing that no window
reaches any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from shroff import Entity, FeatureGroup, Schema
from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.errors import UnreadableRecord
from shroff.features.engines.online import OnlineEngine
from shroff.ledger import GENESIS, Entry, Head, Kind, Ledger, proof, reader, record
from shroff.ledger.answer import LaterRecord, encode
from shroff.state import Mark, rebuild

SCHEMA = Schema(
    id="id", time="at", amount="amount", keys=["card_id"], label="fraud", labelled_at="labelled_at"
)
card = Entity("card", "card_id")
GROUP = FeatureGroup(
    "g", [card.count(["1h", "7d"]), card.total("amount", "7d"), card.risk("7d", delay="1d")]
)
DAY, NOW = 86_400_000_000, 1_700_000_000_000_000


def of_payment(name: str, time: int, arrived: int, card_id: str) -> Entry:
    values: dict[str, Value] = {"id": name, "at": time, "amount": 1.0, "card_id": card_id}
    payment = Payment(id=name, time=time, arrived=0, minor=100, units=10_000, values=values)
    return Entry(
        "payment", name, arrived, time, sha256(name.encode()).digest(), encode({"payment": payment})
    )


def of_label(name: str, arrived: int, fraud: bool) -> Entry:
    body = encode(LaterRecord(fraud))
    return Entry("label", name, arrived, arrived, sha256(body).digest(), body)


def a_past(seed: int, days: int) -> list[Entry]:
    """Payments of so many days that came at once, late or a little before their time, and labels of
    them days later.
    """
    random, entries = Random(seed), list[Entry]()
    for number in range(300):
        arrived = NOW - random.randrange(days * DAY)
        time = min(
            arrived + 299_000_000,
            arrived - random.choice((1, 3_600_000_000, DAY - 1, -290_000_000)),
        )
        entries.append(of_payment(f"p{number}", time, arrived, f"c{random.randrange(4)}"))
        if random.random() < 0.5:
            entries.append(
                of_label(f"p{number}", arrived + random.randrange(3 * DAY), random.random() < 0.5)
            )
    return sorted(entries, key=lambda entry: entry.arrived)


def filled(ledger: Ledger) -> tuple[OnlineEngine, Mark]:
    engine = OnlineEngine([GROUP], SCHEMA)
    read = ledger.proof(Head(0, GENESIS), tolerant=False).read
    mark = rebuild.fill(
        engine, None, ledger, read, lateness=DAY, now=NOW + 4 * DAY, tick=lambda: None
    )
    return engine, mark


def test_payments_of_another_projects_ledger_are_told_of(
    written: Callable[[Sequence[Entry]], Ledger],
) -> None:
    ledger = written([of_payment(f"p{n}", NOW + n, NOW + n, "c1") for n in range(3)])
    read = ledger.proof(Head(0, GENESIS), tolerant=False).read
    marks = [
        rebuild.fill(
            OnlineEngine([FeatureGroup("g", [entity.count("1h")])], schema),
            None,
            ledger,
            read,
            lateness=DAY,
            now=NOW + DAY,
            tick=lambda: None,
        )
        for entity, schema in (
            (card, SCHEMA),
            (Entity("host", "host"), Schema(id="id", time="at", amount="amount", keys=["host"])),
        )
    ]
    assert [mark.lacking for mark in marks] == [0, 3]


def seen(engine: OnlineEngine) -> list[dict[str, Value]]:
    """What payments of every card would see now."""
    found = []
    for number in range(4):
        values: dict[str, Value] = {
            "id": f"new{number}",
            "at": NOW,
            "amount": 1.0,
            "card_id": f"c{number}",
        }
        found.append(
            engine.observe(
                Payment(f"new{number}", NOW, NOW + 4 * DAY + number, 100, 10_000, values)
            )
        )
    return found


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Sequence[Entry]], Ledger]:
    """Makes a ledger of these entries."""

    def write(entries: Sequence[Entry]) -> Ledger:
        ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
        with ledger:
            for entry in entries:
                ledger.append(entry, lambda outcome: None)
        assert ledger.head().seq == len(entries)
        return ledger

    return write


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each record is read."""
    found = Counter[int]()

    def stored(row: Sequence[object]) -> record.StoredEntry:
        entry = record.stored(row)
        found[entry.seq] += 1
        return entry

    for module in (proof, reader):
        monkeypatch.setattr(module, "stored", stored)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_what_is_not_read_no_window_sees(
    written: Callable[[Sequence[Entry]], Ledger], seed: int
) -> None:
    entries = a_past(seed, days=60)
    ledger = written(entries)
    engine, mark = filled(ledger)
    whole = OnlineEngine([GROUP], SCHEMA)
    everything = rebuild.replay(whole, rebuild.by_arrival(ledger.entries()))
    assert seen(engine) == seen(whole)
    times = [entry.time for entry in entries if entry.kind == "payment"]
    first = next(entry.time for entry in entries if entry.kind == "payment")
    assert (mark.seq, mark.arrived, mark.newest) == (len(entries), everything.arrived, max(times))
    assert min(times) <= mark.oldest <= first
    assert mark.future == 0


def test_the_latest_arrival_is_known_whatever_the_order_of_records(
    written: Callable[[Sequence[Entry]], Ledger],
) -> None:
    late, early = of_payment("p", NOW, NOW + 9, "c0"), of_label("p", NOW + 4, fraud=True)
    mark = rebuild.replay(OnlineEngine([GROUP], SCHEMA), written([late, early]).entries())
    assert (mark.seq, mark.arrived) == (2, NOW + 9)


def test_every_record_is_read_once_at_most(
    written: Callable[[Sequence[Entry]], Ledger], counted: Counter[int]
) -> None:
    entries = a_past(0, days=60)
    ledger = written(entries)
    proved = ledger.proof(Head(0, GENESIS), tolerant=False)
    rebuild.fill(
        OnlineEngine([GROUP], SCHEMA),
        None,
        ledger,
        proved.read,
        lateness=DAY,
        now=NOW,
        tick=lambda: None,
    )
    assert proved.finish() == ledger.head()
    assert counted == dict.fromkeys(range(1, len(entries) + 1), 1)


def test_old_records_that_were_proved_are_not_read(
    written: Callable[[Sequence[Entry]], Ledger], counted: Counter[int]
) -> None:
    entries = a_past(0, days=60)
    ledger = written(entries)
    proved = ledger.proof(ledger.head(), tolerant=False)
    rebuild.fill(
        OnlineEngine([GROUP], SCHEMA),
        None,
        ledger,
        proved.read,
        lateness=DAY,
        now=NOW,
        tick=lambda: None,
    )
    proved.finish()
    # windows of 7 days after a delay of one, and the lateness
    reached = {seq for seq, entry in enumerate(entries, start=1) if entry.arrived > NOW - 8 * DAY}
    assert (
        reached
        <= set(counted)
        <= {seq for seq, entry in enumerate(entries, 1) if entry.arrived > NOW - 11 * DAY}
    )


def test_a_ledger_without_payments_is_read(written: Callable[[Sequence[Entry]], Ledger]) -> None:
    engine, mark = filled(written([Entry("start", "s1", NOW, NOW, bytes(32), b"{}")]))
    assert (mark.seq, mark.oldest, mark.newest, engine.keys) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "sentence"), [("payment", "holds no decision"), ("label", "holds no label")]
)
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"payment": 7, "value": []}'])
def test_a_record_of_something_else_is_refused_in_a_sentence(
    written: Callable[[Sequence[Entry]], Ledger], kind: Kind, sentence: str, body: bytes
) -> None:
    ledger = written([Entry(kind, "p1", NOW, NOW, bytes(32), body)])
    with pytest.raises(UnreadableRecord, match=f"record 1 {sentence}. Restore it from a copy"):
        filled(ledger)
