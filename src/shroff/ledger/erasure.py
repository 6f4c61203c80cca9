"""Forgetting: the keys of a subject are destroyed, and what others need of them is kept nameless.

In this order, so that a forgetting that is killed can be run again and ends: new keys begin, so
that nothing is sealed under the old ones any more; a *trace* of each record is written; the
forgetting is recorded; the keys are destroyed, all at once.

A trace has what features of other people read: times, amounts, names such as a merchant category,
results and labels. Values of keys and personal columns that nobody else has are replaced by
pseudonyms, equal ones by equal ones, so counts of distinct values stay as they were. The pseudonyms
are made with a key that is then destroyed: nobody can make them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any, Final

import msgspec

from shroff.errors import ConfigurationError, PaymentConflict
from shroff.ledger.durable import Outcome
from shroff.ledger.keyring import Keyring, SubjectKey, seal_of
from shroff.ledger.ledger import Ledger
from shroff.ledger.record import Entry, StoredEntry, unreadable

_PSEUDONYM_BYTES: Final = 16
_NO_DIGEST: Final = bytes(32)
_GROUP_ENTRIES: Final = 500
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

Destroy = Callable[[Collection[bytes]], object]
"""Destroys the keys of these seals."""
_Value = tuple[str, str]
"""A column and one of its values."""


class Forgotten(msgspec.Struct, frozen=True):
    """The ledger's record of a forgetting, which does not say whose.

    `at` is ISO 8601, `by` who asked for it, `records` counts what cannot be read any more, by kind;
    `traces` says whether something nameless was kept for others.
    """

    at: str
    by: str
    records: dict[str, int]
    traces: bool


class SubjectRecords(msgspec.Struct):
    """What the ledger has of a subject.

    Attributes:
        sealed: records that can be read, as they are in the database.
        plain: how many payments were written before the schema named a subject.
        last: the number of the last record that was looked at.
    """

    sealed: list[StoredEntry]
    plain: int
    last: int

    @property
    def seals(self) -> frozenset[bytes]:
        """The seals of these records."""
        return frozenset(map(seal_of, self.sealed))

    @property
    def counts(self) -> dict[str, int]:
        """How many records by kind."""
        return dict(Counter(entry.kind for entry in self.sealed))


def records_of(ledger: Ledger, subjects: Iterable[str], *, after: int = 0) -> SubjectRecords:
    """Look through a ledger for the records of a subject.

    Args:
        ledger: with its keyring.
        subjects: the value of the subject's column, and its token where the column is personal.
        after: the number of the last record that is not looked at.
    """
    keyring, wanted = _keyring(ledger), list(subjects)
    seals = {seal for seal in keyring.seals(wanted) if keyring.key(seal) is not None}
    columns = {period.subject for period in keyring.periods}
    found = SubjectRecords([], 0, after)
    for entry in ledger.raw(after=after):
        found.last = entry.seq
        seal = seal_of(entry)
        if seal in seals:
            found.sealed.append(entry)
        elif not seal and entry.kind == "payment":
            values = _values(entry)
            found.plain += any(values.get(column) in wanted for column in columns)
    return found


def require_sealed(found: SubjectRecords) -> None:
    """Raise `ConfigurationError` if payments of a subject were written before any was sealed."""
    if found.plain:
        raise ConfigurationError(
            f"{found.plain:,} payments of the subject were written before the schema named a "
            "subject, and are not sealed: nothing was forgotten. Begin another ledger "
            "(SHROFF_LEDGER), and delete this one once no window reaches back to it."
        )


def forget(
    ledger: Ledger,
    subjects: Sequence[str],
    *,
    destroy: Destroy,
    traces: bool,
    by: str,
    at: str,
    arrived: int,
) -> SubjectRecords:
    """Destroy the keys of a subject; returns the records that can no longer be read.

    Args:
        ledger: open for writing, with its keyring, whose last period has just begun.
        subjects: as for `records_of`.
        traces: keep what others need, nameless.
        by: who asked for it; `at` is now in ISO 8601, `arrived` in microseconds since the epoch.

    Raises:
        ConfigurationError: some of the subject's payments are not sealed.
        LedgerUnavailable, ControlUnavailable: a database does not answer.
    """
    found = records_of(ledger, subjects)
    require_sealed(found)
    if not found.sealed:
        return found
    # the same for the same records, so that a forgetting that is run again is recorded once
    key = _key(_keyring(ledger), max(found.seals))
    new = list(found.sealed)
    while traces and new:
        theirs = {entry.seq for entry in found.sealed}
        _write(ledger, _traces(ledger, new, theirs, key, arrived))
        # a result or a label of theirs may have come meanwhile
        late = records_of(ledger, subjects, after=found.last)
        new, found.last = late.sealed, late.last
        found.sealed += new
    body = _encode(Forgotten(at, by, found.counts, traces))
    name = key.pseudonym(b"forgetting", _PSEUDONYM_BYTES).hex()
    _write(ledger, [Entry("forgotten", name, arrived, arrived, _NO_DIGEST, body)])
    destroy(found.seals)
    return found


def expire(ledger: Ledger, periods: Collection[int], *, by: str, at: str, arrived: int) -> int:
    """Record that the keys of whole periods are destroyed; returns how many records they sealed."""
    keyring = _keyring(ledger)
    counts = Counter[str](
        entry.kind
        for entry in ledger.raw()
        if (seal := seal_of(entry)) and keyring.period(seal).number in periods
    )
    body = _encode(Forgotten(at, by, dict(counts), traces=False))
    name = f"periods {' '.join(map(str, sorted(periods)))}"
    _write(ledger, [Entry("forgotten", name, arrived, arrived, _NO_DIGEST, body)])
    return counts.total()


def _write(ledger: Ledger, entries: Iterable[Entry]) -> None:
    """Write entries, except those that a forgetting that was killed has written."""
    rest = iter(entries)
    while group := list(islice(rest, _GROUP_ENTRIES)):
        outcomes = [Future[Outcome]() for _ in group]
        for entry, outcome in zip(group, outcomes, strict=True):
            ledger.append(entry, outcome.set_result)
        for outcome in outcomes:
            error = outcome.result()
            if error is not None and not isinstance(error, PaymentConflict):
                raise error


def _traces(
    ledger: Ledger,
    sealed: Sequence[StoredEntry],
    theirs: Collection[int],
    key: SubjectKey,
    arrived: int,
) -> Iterator[Entry]:
    """What is kept of records.

    Args:
        theirs: the numbers of all records of the subject.
        key: of all pseudonyms, so that a value has the same one in every period.
    """
    keyring = _keyring(ledger)
    periods = [keyring.period(seal_of(entry)) for entry in sealed]
    columns = {column for period in periods for column in period.identifying}
    subjects = {period.subject for period in periods}
    opened = [ledger.opened(entry) for entry in sealed]
    payments = [_values(entry) for entry in opened if entry.kind == "payment"]
    own = {named for values in payments for named in _named(values, columns - subjects)}
    shared = _shared(ledger, own, theirs)
    for entry, period in zip(opened, periods, strict=True):
        body = _encode(_trace(entry, columns, shared, key))
        seal = keyring.traces(period)
        yield Entry("trace", str(entry.seq), arrived, arrived, _NO_DIGEST, body, seal=seal)


def _trace(
    entry: StoredEntry, columns: Iterable[str], shared: set[_Value], key: SubjectKey
) -> dict[str, Any]:
    """The body of a record without what names its subject."""
    body = _decode(entry.body)
    if entry.kind != "payment":
        return {name: body.get(name) for name in ("value", "at", "source")}
    payment = body["payment"]
    for column, value in _named(payment["values"], columns):
        if (column, value) not in shared:
            made = key.pseudonym(value.encode(), _PSEUDONYM_BYTES)
            payment["values"][column] = made.hex()
    # no decision: readers take it for one that the policy made without features and model
    return {"payment": payment, "features": {}, "probability": None, "model": "", "action": ""}


def _shared(ledger: Ledger, own: set[_Value], theirs: Collection[int]) -> set[_Value]:
    """The values of a subject that payments of others have too."""
    columns, shared = {column for column, _ in own}, set[_Value]()
    for entry in ledger.entries():
        if own <= shared:
            break
        if entry.kind == "payment" and not entry.gone and entry.seq not in theirs:
            shared.update(own.intersection(_named(_values(entry), columns)))
    return shared


def _named(values: Mapping[str, Any], columns: Iterable[str]) -> list[_Value]:
    """The values of these columns, with their columns."""
    return [(name, value) for name in columns if isinstance(value := values.get(name), str)]


def _values(entry: StoredEntry) -> Mapping[str, Any]:
    """The values of a payment's record."""
    try:
        values: Mapping[str, Any] = _decode(entry.body)["payment"]["values"]
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError):
        raise unreadable(entry.seq, "holds no decision") from None
    return values


def _key(keyring: Keyring, seal: bytes) -> SubjectKey:
    key = keyring.key(seal)
    if key is None:
        raise ConfigurationError("expected records whose keys were not destroyed.")
    return key


def _keyring(ledger: Ledger) -> Keyring:
    if ledger.keyring is None:
        raise ConfigurationError("expected a ledger with the keys of its records.")
    return ledger.keyring
