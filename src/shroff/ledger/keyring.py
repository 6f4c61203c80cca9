"""Sealed records: each subject's under a key of their own, so that destroying it forgets them.

The body of a sealed record is 0x01 and `key`, which begins no JSON, the number of a period (4
bytes), the subject's tag in it (8 bytes), a random nonce (12 bytes), and AES-256-GCM (NIST SP
800-38D) over digest and body, bound to the record's kind and payment id. The first 16 bytes are its
*seal*: they name the key and nothing else. The chain is over these bytes, so it holds whether they
can be read or not.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache, partial
from hashlib import blake2b
from itertools import chain
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace

from shroff.errors import ConfigurationError, LedgerUnavailable, UnreadableRecord
from shroff.ledger.puncturable import TAG_BYTES, PuncturableKeys
from shroff.ledger.record import SEALED, Entry, StoredEntry

_SEAL_FORMAT: Final = struct.Struct(f">4sI{TAG_BYTES}s")
_NONCE_BYTES: Final = 12
_DRAWN_NONCES: Final = 256
_DIGEST_BYTES: Final = 32
_NO_DIGEST: Final = bytes(_DIGEST_BYTES)
_OURS: Final = "\0"
"""What the names of our own subjects begin with, who are nobody; see `subject_of`."""
_TRACES: Final = f"{_OURS}traces"
_REMEMBERED_KEYS: Final = 65_536
"""Keys that are not derived again, about 400 bytes each."""


def _draw() -> tuple[bytes, ...]:
    drawn = os.urandom(_DRAWN_NONCES * _NONCE_BYTES)
    return tuple(drawn[at : at + _NONCE_BYTES] for at in range(0, len(drawn), _NONCE_BYTES))


# drawn many at a time, as decision ids are
_NONCES: Final = chain.from_iterable(iter(_draw, ()))


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time, a month at most, whose subjects have keys of their own.

    Attributes:
        number: from 1; the last one seals.
        began: microseconds since the epoch.
        subject: the column that says whose payment it is.
        identifying: all columns whose values may name a person.
        keys: what is left of them.
        forgotten: when the key of a tag was destroyed, by tag.
        expired: when all keys were destroyed.
    """

    number: int
    began: int
    subject: str
    identifying: tuple[str, ...]
    keys: PuncturableKeys
    forgotten: Mapping[bytes, int] = {}
    expired: int | None = None

    def seal(self, secret: bytes, subject: str) -> bytes:
        """The seal of a subject in this period.

        The tag is a keyed BLAKE2b (RFC 7693): without the secret, nobody can say whose it is, or
        which seals of two periods are of one subject.
        """
        made = blake2b(
            subject.encode(), digest_size=TAG_BYTES, key=secret, person=b"shroff subject"
        )
        made.update(self.number.to_bytes(4))
        return _SEAL_FORMAT.pack(SEALED, self.number, made.digest())

    def when(self, tag: bytes) -> int | None:
        """When the key of a tag was destroyed; None if it was not."""
        return self.forgotten.get(tag, self.expired)


class SubjectKey(NamedTuple):
    """The key of one subject in one period."""

    seal: bytes
    key: bytes

    @property
    def cipher(self) -> AESGCM:
        """Seals and opens; made for each use, since it takes eight times as much memory."""
        return AESGCM(self.key)

    def pseudonym(self, text: bytes, size: int = _DIGEST_BYTES) -> bytes:
        """What stands for a text as long as the key exists, and for nothing once it is gone."""
        return blake2b(text, digest_size=size, key=self.key).digest()


class Keyring:
    """Seals entries under the keys of their subjects, and opens records.

    Args:
        secret: the key of the HMAC over personal columns, from which tags are made; not needed to
            open records.
        periods: as the control database has them; `take` replaces them.
    """

    def __init__(self, secret: bytes = b"", periods: Iterable[Period] = ()) -> None:
        self._secret = blake2b(secret, person=b"shroff tags").digest()
        self.take(periods)

    def take(self, periods: Iterable[Period]) -> None:
        """Use these periods from now on, and drop all keys that were derived from others."""
        self._ring = _Ring(self._secret, {one.number: one for one in periods})

    def copy(self) -> Keyring:
        """A keyring of the same periods, which keeps keys that are destroyed meanwhile."""
        made = Keyring()
        made._secret, made._ring = self._secret, self._ring
        return made

    def without(self, seals: Iterable[bytes], at: int) -> Keyring:
        """A keyring as this one will be once the keys of these seals are destroyed, at a time."""
        gone: dict[int, dict[bytes, int]] = {one.number: {} for one in self.periods}
        for seal in seals:
            number, tag = parts_of(seal)
            gone[number][tag] = at
        made = self.copy()
        made.take(
            replace(one, forgotten={**one.forgotten, **gone[one.number]}) for one in self.periods
        )
        return made

    @property
    def ready(self) -> bool:
        """Whether there are keys to seal with."""
        return bool(self._ring.periods)

    @property
    def periods(self) -> Collection[Period]:
        """All periods, the oldest first."""
        return self._ring.periods.values()

    def period(self, seal: bytes) -> Period:
        """The period of a seal that a record has."""
        return self._ring.periods[parts_of(seal)[0]]

    def traces(self, period: Period) -> bytes:
        """The seal of what is kept of forgotten records of a period, until it expires."""
        return period.seal(self._secret, _TRACES)

    def seals(self, subjects: Iterable[str]) -> dict[bytes, Period]:
        """The seals that these subjects can have, each with its period."""
        values = [subject_of(value, "") for value in subjects]
        return {one.seal(self._secret, value): one for one in self.periods for value in values}

    def key(self, seal: bytes) -> SubjectKey | None:
        """The key of a seal; None where it was destroyed."""
        return self._ring.opening(seal)

    def seal(self, entry: Entry) -> Entry:
        """The entry as it is written: sealed if it has a subject, or the seal of an earlier record.

        Raises:
            ConfigurationError: no period has begun.
        """
        ring = self._ring
        if entry.seal:
            found = ring.opening(entry.seal)
            # forgotten since it was looked up: sealed under a key that nobody keeps
            key = found or SubjectKey(entry.seal, os.urandom(32))
        elif entry.subject is not None:
            key = ring.sealing(entry.subject)
        else:
            return entry
        # only labels are told apart by their digest, which could confirm a guess at the payload
        digest = key.pseudonym(entry.digest) if entry.kind == "label" else _NO_DIGEST
        nonce = next(_NONCES)
        sealed = key.cipher.encrypt(nonce, entry.digest + entry.body, _bound(entry))
        return Entry(
            entry.kind,
            entry.payment_id,
            entry.arrived,
            entry.time,
            digest,
            key.seal + nonce + sealed,
        )

    def open(self, entry: StoredEntry) -> StoredEntry:
        """The record as it was before it was sealed; a forgotten one without its body.

        Raises:
            UnreadableRecord: it does not open with its key.
            ConfigurationError: the control database does not have its period.
            LedgerUnavailable: the period has begun after the periods were read.
        """
        seal = seal_of(entry)
        if not seal:
            return entry
        key = self._ring.opening(seal)
        if key is None:
            return replace(entry, body=b"", forgotten=self._when(entry, seal))
        sealed = memoryview(entry.body)[len(seal) :]
        try:
            opened = key.cipher.decrypt(
                bytes(sealed[:_NONCE_BYTES]), sealed[_NONCE_BYTES:], _bound(entry)
            )
        except (InvalidTag, ValueError):
            raise UnreadableRecord(
                f"record {entry.seq} of the ledger does not open with its key: it was changed "
                "(`shroff ledger verify`), or the control database is another one (SHROFF_CONTROL)."
            ) from None
        return StoredEntry(
            entry.kind,
            entry.payment_id,
            entry.arrived,
            entry.time,
            opened[:_DIGEST_BYTES],
            opened[_DIGEST_BYTES:],
            seal=seal,
            seq=entry.seq,
            chain=entry.chain,
        )

    def expired(self, seal: bytes) -> bool:
        """Whether all keys of a seal's period were destroyed."""
        period = self._ring.periods.get(parts_of(seal)[0])
        return period is not None and period.expired is not None

    def _when(self, entry: StoredEntry, seal: bytes) -> int:
        number, tag = parts_of(seal)
        period = self._ring.periods.get(number)
        when = None if period is None else period.when(tag)
        if period is None and number > max(self._ring.periods, default=number):
            raise LedgerUnavailable(
                "the record was sealed with a key that another process has just made: send it "
                "again in a second."
            )
        if when is None:
            raise no_keys(entry.seq)
        return when


class _Ring:
    """The keys of some periods, and those derived from them lately."""

    def __init__(self, secret: bytes, periods: dict[int, Period]) -> None:
        self.periods = dict(sorted(periods.items()))
        newest = next(reversed(self.periods.values()), None)
        remembered = lru_cache(maxsize=_REMEMBERED_KEYS)
        self.sealing = remembered(partial(_sealing, secret, newest))
        self.opening = remembered(partial(_opening, self.periods))


def _sealing(secret: bytes, period: Period | None, subject: str) -> SubjectKey:
    found = (
        None if period is None else _opening({period.number: period}, period.seal(secret, subject))
    )
    if found is None:
        raise ConfigurationError(
            "expected keys to seal records with, got a control database without any: restart the "
            "service."
        )
    return found


def _opening(periods: Mapping[int, Period], seal: bytes) -> SubjectKey | None:
    number, tag = parts_of(seal)
    period = periods.get(number)
    if period is None or tag in period.forgotten:
        return None
    key = period.keys.key(tag)
    return None if key is None else SubjectKey(seal, key)


def subject_of(value: object, payment_id: str) -> str:
    """Whose a payment is, by the value of the subject's column.

    One of nobody has a key of its own, so that retention reaches it. No value names a subject of
    ours, whatever characters it has.
    """
    if value is None:
        return f"{_OURS}{payment_id}"
    text = str(value)
    return f"{_OURS}{text}" if text.startswith(_OURS) else text


def seal_of(entry: StoredEntry) -> bytes:
    """The seal of a record as the database has it; empty if it is not sealed."""
    return entry.body[: _SEAL_FORMAT.size] if entry.body.startswith(SEALED) else b""


def parts_of(seal: bytes) -> tuple[int, bytes]:
    """The number of a seal's period, and its tag."""
    _, number, tag = _SEAL_FORMAT.unpack(seal)
    return number, tag


def no_keys(seq: int) -> ConfigurationError:
    """The error for a sealed record whose key is not there."""
    return ConfigurationError(
        f"record {seq} of the ledger is sealed, and its key is not in the control database: "
        "expected the control database of this ledger (SHROFF_CONTROL)."
    )


def _bound(entry: Entry) -> bytes:
    """What a sealed body belongs to: moved to another record, it does not open."""
    return f"{entry.kind} {entry.payment_id}".encode()
