"""Keys of subjects in a control database: one period a month, and destroyed keys are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import postgres_schema
from shroff import Schema
from shroff.control import LiveKeyring, SubjectKeys
from shroff.ledger import Entry, Keyring, StoredEntry
from shroff.ledger.keyring import seal_of

SCHEMA = Schema(id="id", time="t", amount="a", subject="card_id", personal=["email"])
DAY_US = 86_400_000_000
FEBRUARY_27 = 1_772_150_400_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'control.db'}"
        return
    with postgres_schema(request.getfixturevalue("postgres_server")) as schema:
        yield schema


class _Clock:
    now = FEBRUARY_27

    def __call__(self) -> int:
        return self.now


def sealed(keyring: Keyring, subject: str) -> StoredEntry:
    made = keyring.seal(Entry("payment", subject, 1, 1, bytes(32), b"{}", subject=subject))
    fields = (made.kind, made.payment_id, made.arrived, made.time, made.digest, made.body)
    return StoredEntry(*fields, seq=1, chain=b"")


def test_processes_share_the_keys_of_a_month_and_drop_destroyed_ones(url: str) -> None:
    clock = _Clock()
    keys, rings = SubjectKeys(url, clock=clock), (Keyring(b"k"), Keyring(b"k"))
    live = [LiveKeyring(SubjectKeys(url, clock=clock), ring, SCHEMA) for ring in rings]
    one, two = rings

    def refresh() -> None:
        for each in live:
            each.refresh()

    refresh()
    assert [period.identifying for period in keys.periods()] == [("email", "card_id")]
    ada, bob = sealed(one, "ada"), sealed(two, "bob")
    assert (two.open(ada).body, one.open(bob).body) == (b"{}", b"{}")
    # a new month has new keys, and the old ones still open
    clock.now += 3 * DAY_US
    refresh()
    refresh()
    assert [period.number for period in keys.periods()] == [1, 2]
    again = sealed(two, "ada")
    assert seal_of(again) != seal_of(ada)
    at = keys.destroy([seal_of(ada), seal_of(again)])
    keys.begin("card_id", SCHEMA.identifying, anew=True)
    refresh()
    for ring in rings:
        assert [ring.open(entry).forgotten for entry in (ada, again, bob)] == [at, at, None]
        assert ring.open(sealed(one, "ada")).body == b"{}"
    keys.expire([1])
    refresh()
    assert one.open(bob).forgotten == clock.now
    keys.scrub()


def test_a_schema_without_a_subject_makes_no_keys(url: str) -> None:
    ring = Keyring(b"k")
    plain = Schema(id="id", time="t", amount="a")
    LiveKeyring(SubjectKeys(url), ring, plain).refresh()
    assert not ring.ready
    # another schema has keys of its own, which remember who a subject is
    LiveKeyring(SubjectKeys(url), ring, SCHEMA).refresh()
    other = Schema(id="id", time="t", amount="a", subject="email", personal=["email"])
    LiveKeyring(SubjectKeys(url), ring, other).refresh()
    assert [period.subject for period in ring.periods] == ["card_id", "email"]
