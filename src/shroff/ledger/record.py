"""The fields of a record, and how it is chained to the record before."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Literal, get_args

import msgspec

from shroff.errors import BadPayment, UnreadableRecord

Kind = Literal["payment", "result", "label", "start", "trace", "forgotten"]

Key = tuple[Kind, str, bytes]

KINDS: tuple[Kind, ...] = get_args(Kind)
COLUMNS = ("seq", "kind", "payment_id", "arrived", "time", "digest", "body", "chain")
GENESIS = bytes(32)
SEALED = b"\x01key"
"""The beginning of the body of a sealed record; of no JSON, and so of no other."""

_DIGEST_BYTES = 32
# PostgreSQL refuses index entries over 2,704 bytes, and ids must be unique there
_MAX_ID_BYTES = 1_024
_MAX_BODY_BYTES = 64 * 1024 * 1024
_INT64_LEAST, _INT64_BOUND = -(2**63), 2**63
_LENGTHS_FORMAT = struct.Struct(">qqqIIII")
_TYPES = (int, str, str, int, int, bytes, bytes, bytes)
_ENTRY_TYPES = _TYPES[1:7]


class Entry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One event as it arrived, ready to be made durable.

    `kind` says what it is, `payment_id` which payment it belongs to (a ledger has one result for a
    payment, and one label of each digest; the `start` of a service has an id of its own, and so has
    the record of a forgetting; a `trace` has the number of the record that it stands in for);
    `arrived` is when the system saw it and `time` the event time of the payment, both in
    microseconds since the epoch; `digest` is the SHA-256 of the payload (32 bytes: the same digest
    is the same payload); `body` is JSON, opaque to the ledger.

    An entry with a `subject`, or with the `seal` of an earlier record, is sealed under the key of
    that subject when it is written (see `Keyring`); others are written as they are.
    """

    kind: Kind
    payment_id: str
    arrived: int
    time: int
    digest: bytes
    body: bytes
    subject: str | None = None
    seal: bytes = b""


class StoredEntry(Entry, frozen=True, gc=False, kw_only=True):
    """An entry as the ledger keeps it: numbered from 1 without gaps, and chained.

    `chain` is SHA-256 over the previous record's `chain` (32 zero bytes before the first) and the
    canonical bytes of this record, as they are in the database: sealed bodies sealed.

    `forgotten` is when the key of its subject was destroyed (µs since the epoch), None where the
    record can be read. The body of a forgotten record is what was kept of it for others, which
    names nobody, or empty.
    """

    seq: int
    chain: bytes
    forgotten: int | None = None

    @property
    def gone(self) -> bool:
        """Whether it was forgotten, and nothing was kept of it for others."""
        return self.forgotten is not None and not self.body


def key_of(kind: Kind, payment_id: str, digest: bytes) -> Key:
    """The key by which an entry is unique in a ledger.

    >>> key_of("result", "p1", b"one") == key_of("result", "p1", b"two")
    True
    >>> key_of("label", "p1", b"one") == key_of("label", "p1", b"two")
    False
    """
    return kind, payment_id, digest if kind == "label" else b""


def link(previous: bytes, seq: int, entry: Entry) -> bytes:
    """The chain value of record `seq`: SHA-256(previous chain ‖ canonical bytes of all fields).

    The canonical bytes are the three integers and the four lengths, big-endian, then the four
    texts: no two different records have the same bytes.

    >>> entry = Entry("payment", "p1", 2, 1, bytes(32), b"{}")
    >>> link(GENESIS, 1, entry).hex()[:16]
    'd32d20b036a361d7'
    >>> link(GENESIS, 2, entry) == link(GENESIS, 1, entry)
    False
    """
    kind, payment_id = entry.kind.encode(), entry.payment_id.encode()
    digest, body = entry.digest, entry.body
    numbers = _LENGTHS_FORMAT.pack(
        seq, entry.arrived, entry.time, len(kind), len(payment_id), len(digest), len(body)
    )
    return sha256(b"".join((previous, numbers, kind, payment_id, digest, body))).digest()


def check_id(payment_id: str) -> None:
    """Raise `BadPayment` for a payment id that not every database can keep.

    >>> check_id("p-1")
    """
    if payment_id.isascii() and 0 < len(payment_id) <= _MAX_ID_BYTES and "\0" not in payment_id:
        return
    try:
        size = len(payment_id.encode())
    except UnicodeEncodeError:
        raise BadPayment(
            "a payment id must be text that UTF-8 can hold: it has a lone surrogate"
        ) from None
    if not 0 < size <= _MAX_ID_BYTES:
        raise BadPayment(
            f"a payment id must have 1 to {_MAX_ID_BYTES} bytes of UTF-8: this one has {size}"
        )
    if "\0" in payment_id:
        raise BadPayment("a payment id must not contain the character U+0000")


def check_entry(entry: Entry) -> None:
    """Raise `BadPayment` for an entry that cannot be written, before it fails its group.

    >>> check_entry(Entry("payment", "p1", 2, 1, b"short", b"{}"))
    Traceback (most recent call last):
        ...
    shroff.errors.BadPayment: expected a digest of 32 bytes (SHA-256), got 5
    """
    kind, payment_id, digest, body = entry.kind, entry.payment_id, entry.digest, entry.body
    arrived, time = entry.arrived, entry.time
    given = type(kind), type(payment_id), type(arrived), type(time), type(digest), type(body)
    if given != _ENTRY_TYPES:
        raise BadPayment("expected an entry of str, str, int, int, bytes, bytes, got other types")
    check_id(payment_id)
    if kind not in KINDS:
        raise BadPayment(f"expected an entry of the kind {', '.join(KINDS)}, got another one")
    if len(digest) != _DIGEST_BYTES:
        raise BadPayment(f"expected a digest of {_DIGEST_BYTES} bytes (SHA-256), got {len(digest)}")
    if body.startswith(SEALED):
        raise BadPayment("expected a body of JSON, got one that begins as a sealed record does")
    if len(body) > _MAX_BODY_BYTES:
        raise BadPayment(f"expected a body of at most {_MAX_BODY_BYTES:,} bytes, got {len(body):,}")
    if not (_INT64_LEAST <= arrived < _INT64_BOUND and _INT64_LEAST <= time < _INT64_BOUND):
        raise BadPayment(
            "expected `arrived` and `time` in microseconds since the epoch, within 64 bits"
        )


def unreadable(seq: object, how: str) -> UnreadableRecord:
    """The error for a record whose body cannot be read."""
    return UnreadableRecord(
        f"the ledger was changed: record {seq} {how}. Restore it from a copy of the ledger, or "
        "begin another ledger (SHROFF_LEDGER)."
    )


def stored(row: Sequence[object]) -> StoredEntry:
    """The record in a row of `COLUMNS`; raises `UnreadableRecord` for a value of a wrong type.

    SQLite stores a text even in a column of numbers, so types are checked on reading.
    """
    seq, kind, payment_id, arrived, time, digest, body, chain = row
    if tuple(map(type, row)) != _TYPES:
        raise unreadable(seq, "holds a value of another type")
    return StoredEntry(kind, payment_id, arrived, time, digest, body, seq=seq, chain=chain)  # type: ignore[arg-type]  # compared above
