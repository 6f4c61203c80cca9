"""A ledger that is looked at again and again shows what a full read shows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import pytest
from polars.testing import assert_frame_equal

from monitor.test_verdict import with_reference
from shroff.collect.times import DAY_US
from shroff.errors import LedgerUnavailable
from shroff.ledger import Entry, Keyring, Ledger, StoredEntry
from shroff.ledger.keyring import Period
from shroff.ledger.puncturable import PuncturableKeys
from shroff.monitor import DecidedPayments, from_ledger, observed
from shroff.monitor.following import FollowedDecisions, FollowedSchemes
from shroff.monitor.scheme_watch import DailySums, daily_sums
from shroff.package import Bundle


class Watched(Ledger):
    """Notes how many records are read."""

    read = 0

    def entries(self, *, since: int | None = None, after: int = 0) -> Iterator[StoredEntry]:
        for entry in super().entries(since=since, after=after):
            self.read += 1
            yield entry


def period(number: int = 1) -> Period:
    keys, columns = PuncturableKeys.random(), ("card_id",)
    return Period(number=number, began=number, subject="card_id", identifying=columns, keys=keys)


def paid(number: int, model: str, card: str) -> Entry:
    values = {"card_id": card, "amount": 10.0 + number, "mcc": "5411"}
    body = {
        "payment": {"values": values, "minor": 1_000 + 100 * number},
        "features": {},
        "probability": 0.25,
        "action": "approve",
        "model": model,
    }
    content = msgspec.json.encode(body)
    return Entry("payment", f"p{number}", number, number, bytes(32), content, subject=card)


def labelled(number: int, at: int, source: str, fraud: bool) -> Entry:
    body = {"value": fraud, "at": None, "source": source, "note": None, "event": at}
    content, digest = msgspec.json.encode(body), at.to_bytes(32)
    return Entry("label", f"p{number}", at, at, digest, content, subject=f"c{number % 5}")


def require_same(found: DecidedPayments, expected: DecidedPayments) -> None:
    for name in ("decisions", "inputs", "labels"):
        assert_frame_equal(getattr(found, name), getattr(expected, name))
    assert found.others == expected.others


@pytest.fixture
def seen(bundle: Bundle) -> Bundle:
    return with_reference(bundle)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def listed(sums: DailySums | None) -> object:
    return sums and [one if isinstance(one, date) else one.tolist() for one in sums]


@pytest.mark.parametrize("seed", range(4))
def test_every_look_is_as_a_full_read_and_reads_only_what_is_new(
    url: str, seen: Bundle, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """With payments of two models, labels of two sources, and people who are forgotten."""
    monkeypatch.setattr(observed, "_MAX_PARTS", 2)
    monkeypatch.setattr(observed, "_PART_PAYMENTS", 3)
    drawn, keyring, followed = (
        random.Random(seed),
        Keyring(b"k" * 32, [period()]),
        FollowedDecisions(),
    )
    schemes = FollowedSchemes()
    forgotten, last = False, 0
    with Ledger(url, keyring=keyring) as ledger:
        for number in range(60):
            if drawn.random() < 0.6:
                model = seen.version if drawn.random() < 0.8 else "another"
                ledger.write_now(paid(number, model, f"c{number % 5}"))
            else:
                source, fraud = drawn.choice(("bank", "analyst")), drawn.random() < 0.5
                ledger.write_now(labelled(drawn.randrange(60), number, source, fraud))
            if drawn.random() < 0.2:
                view = Watched(url, keyring=keyring)
                found, head = followed.look(seen, view), view.head().seq
                assert view.read == head - (0 if forgotten else last)
                whole = ledger.read_with(keyring, until=head)
                require_same(found, from_ledger(seen, whole.entries()))
                view.read, now = 0, 3 * DAY_US
                sums = schemes.look(seen.schema, view, now=now, disputed_by=["bank"])
                assert view.read == head - (0 if forgotten else last)
                scanned = daily_sums(
                    whole.entries(), seen.schema.label_rank, now=now, disputed_by=["bank"]
                )
                assert listed(sums) == listed(scanned)
                forgotten, last = drawn.random() < 0.3, head
                if forgotten:
                    keyring = keyring.without(keyring.seals([f"c{number % 5}"]), at=number)


def test_a_fraud_is_known_since_its_first_label_by_the_ranks_of_the_schema(
    url: str, seen: Bundle
) -> None:
    """What an analyst says the bank confirms or refutes; and it withdraws its own for a day."""
    schema = msgspec.structs.replace(seen.schema, label_sources=("bank", "analyst"))
    keyring, schemes, frauds = Keyring(b"k" * 32, [period()]), FollowedSchemes(), list[object]()
    said = [(0, 2, "analyst", True), (0, 30, "bank", True), (1, 2, "bank", False)]
    said += [(1, 3, "analyst", True), (2, 2, "bank", True), (2, 3, "bank", False)]
    said += [(2, 4, "bank", True)]
    with Ledger(url, keyring=keyring) as ledger:
        for number in range(3):
            ledger.write_now(paid(number, seen.version, "c"))
        for number, day, source, fraud in said:
            ledger.write_now(labelled(number, day * DAY_US, source, fraud))
        found = from_ledger(replace(seen, schema=schema), ledger.entries()).decisions
        for ranked in (schema, seen.schema):
            sums = schemes.look(ranked, ledger, now=40 * DAY_US)
            frauds.append(sums and {day: many for day, many in enumerate(sums.frauds) if many})
    assert found["fraud"].to_list() == [True, False, True]
    assert found["labelled"].to_list() == [2 * DAY_US, 2 * DAY_US, 4 * DAY_US]
    assert frauds == [{2: 1, 4: 1}, {2: 1, 3: 1, 4: 1}], "by rank, and by the latest"


def test_another_model_and_another_ledger_are_read_whole(
    url: str, seen: Bundle, tmp_path: Path
) -> None:
    other, followed = f"sqlite:///{tmp_path / 'other.db'}", FollowedDecisions()
    keyring = Keyring(b"k" * 32, [period()])
    for where, model in ((url, seen.version), (other, "another")):
        with Ledger(where, keyring=keyring) as ledger:
            for number in range(3):
                ledger.write_now(paid(number, model, "c"))
    ledger, restored = Ledger(url, keyring=keyring), Ledger(other, keyring=keyring)
    assert followed.look(seen, ledger).others == 0
    assert followed.look(seen, restored).others == 3
    assert followed.look(seen, ledger).others == 0
    assert followed.look(replace(seen, digest="f" * 64), ledger).others == 3


def test_other_sources_of_disputes_are_counted_anew(url: str, seen: Bundle) -> None:
    with Ledger(url, keyring=Keyring(b"k" * 32, [period()])) as ledger:
        ledger.write_now(paid(1, seen.version, "c1"))
        ledger.write_now(labelled(1, 2, "bank", True))
        followed = FollowedSchemes()
        for sources, disputes in ((["bank"], 1), (["analyst"], 0), (["bank"], 1)):
            sums = followed.look(seen.schema, ledger, now=DAY_US, disputed_by=sources)
            assert sums is not None
            assert (sums.frauds.tolist(), sums.disputes.tolist()) == ([1], [disputes])


def test_a_look_that_breaks_off_is_gone_on_with(url: str, seen: Bundle) -> None:
    """A service may begin the keys of a new month while the ledger is read."""
    first, second = period(1), period(2)
    with Ledger(url, keyring=Keyring(b"k" * 32, [first])) as ledger:
        ledger.write_now(paid(1, seen.version, "a"))
        ledger.write_now(labelled(1, 2, "bank", True))
    with Ledger(url, keyring=Keyring(b"k" * 32, [first, second])) as ledger:
        ledger.write_now(paid(3, seen.version, "b"))
    followed = FollowedDecisions()
    with pytest.raises(LedgerUnavailable, match="another process has just made"):
        followed.look(seen, Ledger(url, keyring=Keyring(periods=[first])))
    later = Ledger(url, keyring=Keyring(periods=[first, second]))
    found = followed.look(seen, later)
    require_same(found, from_ledger(seen, later.entries()))
    assert found.decisions["fraud"].to_list() == [True, None]
