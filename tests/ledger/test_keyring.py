"""Sealed records open with their key, and only as what they were written as."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.errors import ConfigurationError, LedgerUnavailable, UnreadableRecord
from shroff.ledger import Entry, Keyring, Kind, StoredEntry
from shroff.ledger.keyring import Period, parts_of, seal_of
from shroff.ledger.puncturable import PuncturableKeys

SECRET = b"k" * 32


def period(number: int = 1) -> Period:
    return Period(
        number=number,
        began=number,
        subject="card_id",
        identifying=("card_id",),
        keys=PuncturableKeys.random(),
    )


def stored(entry: Entry) -> StoredEntry:
    fields = (entry.kind, entry.payment_id, entry.arrived, entry.time, entry.digest, entry.body)
    return StoredEntry(*fields, seq=1, chain=bytes(32))


@given(
    kind=st.sampled_from(["payment", "result", "label"]),
    body=st.binary(max_size=200),
    subject=st.text(st.characters(codec="utf-8"), max_size=30),
)
def test_what_is_sealed_opens_to_the_same_entry(kind: Kind, body: bytes, subject: str) -> None:
    keyring = Keyring(SECRET, [period()])
    entry = Entry(kind, "p1", 2, 1, b"d" * 32, body, subject=subject)
    written = stored(keyring.seal(entry))
    assert (written.subject, written.arrived, written.time) == (None, 2, 1)
    assert b"d" * 32 not in written.digest + written.body
    assert len(body) < 8 or body not in written.body
    opened = keyring.open(written)
    assert (opened.digest, opened.body, opened.seal) == (entry.digest, body, seal_of(written))
    # what comes later for the payment has its seal, and so its key
    later = keyring.seal(Entry("label", "p1", 3, 3, b"e" * 32, b"{}", seal=opened.seal))
    assert seal_of(stored(later)) == opened.seal
    assert keyring.open(stored(later)).body == b"{}"


def test_labels_are_told_apart_as_before_and_nothing_else_has_a_digest() -> None:
    keyring = Keyring(SECRET, [period()])

    def digest(kind: Kind, payload: bytes, subject: str = "card") -> bytes:
        return keyring.seal(Entry(kind, "p1", 1, 1, payload, b"{}", subject=subject)).digest

    one, two = b"1" * 32, b"2" * 32
    assert digest("label", one) == digest("label", one) != digest("label", two)
    assert digest("label", one) != digest("label", one, "other")
    assert digest("payment", one) == digest("result", two) == bytes(32)


def test_a_record_that_was_moved_or_changed_does_not_open() -> None:
    keyring = Keyring(SECRET, [period()])
    written = stored(keyring.seal(Entry("payment", "p1", 1, 1, bytes(32), b"{}", subject="card")))
    body = written.body[:-1] + bytes([written.body[-1] ^ 1])
    for changes in ({"payment_id": "p2"}, {"kind": "result"}, {"body": body}):
        with pytest.raises(UnreadableRecord, match=r"record 1 .* does not open with its key"):
            keyring.open(msgspec.structs.replace(written, **changes))
    # the keys of another control database
    with pytest.raises(UnreadableRecord, match="does not open"):
        Keyring(SECRET, [period()]).open(written)
    with pytest.raises(ConfigurationError, match="record 1 of the ledger is sealed"):
        Keyring(SECRET).open(written)
    newer = keyring.seal(Entry("payment", "p", 1, 1, bytes(32), b"{}", subject="c"))
    assert parts_of(seal_of(stored(newer)))[0] == 1
    later = Keyring(SECRET, [period(2)])
    unknown = stored(later.seal(Entry("payment", "p", 1, 1, bytes(32), b"{}", subject="c")))
    with pytest.raises(LedgerUnavailable, match="just made"):
        keyring.open(unknown)


def test_a_destroyed_key_is_not_remembered() -> None:
    whole = period()
    keyring = Keyring(SECRET, [whole])
    entry = Entry("payment", "p1", 1, 1, bytes(32), b"{}", subject="card")
    other = msgspec.structs.replace(entry, payment_id="p2", subject="other")
    written, beside = stored(keyring.seal(entry)), stored(keyring.seal(other))
    assert keyring.open(written).forgotten is None
    tag = parts_of(seal_of(written))[1]
    changed = {"keys": whole.keys.punctured(tag), "forgotten": {tag: 7}}
    keyring.take([msgspec.structs.replace(whole, **changed), period(2)])
    found = keyring.open(written)
    assert (found.forgotten, found.body) == (7, b"")
    assert keyring.open(beside).body == b"{}"
    # a result that was in flight meanwhile is written, and nobody can read it
    late = stored(
        keyring.seal(Entry("result", "p1", 2, 2, bytes(32), b"{}", seal=seal_of(written)))
    )
    assert keyring.open(late).forgotten == 7
    # whom was forgotten comes back under another seal, which nobody can connect
    again = keyring.seal(entry)
    assert seal_of(stored(again))[-8:] != tag
