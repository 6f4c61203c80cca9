"""Forgetting: the keys of a subject are destroyed, and what others need of them is kept nameless.

In this order, so that a forgetting that is killed can be run again and ends: a *trace* of each
record is written; new keys begin, so that nothing is sealed under the old ones any more; traces of
what came meanwhile are written; the forgetting is recorded; the keys are destroyed, all at once.

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

from shroff.errors import ConfigurationError, DataError, PaymentConflict
from shroff.ledger.durable import Outcome
from shroff.ledger.keyring import Keyring, SubjectKey, seal_of
from shroff.ledger.ledger import Ledger
from shroff.ledger.record import Entry, StoredEntry, unreadable

_PSEUDONYM_BYTES: Final = 16
_NO_DIGEST: Final = bytes(32)
_GROUP_ENTRIES: Final = 500
_ASKED_RECORDS: Final = 1_000
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
    """What the ledger has of subjects.

    Attributes:
        sealed: records that can be read, as they are in the database.
        plain: how many payments were written before the schema named a subject.
        last: the number of the last record that was looked at.
    """

    sealed: list[StoredEntry]
    plain: int
    last: int

    @property
    def counts(self) -> dict[str, int]:
        """How many records by kind."""
        return dict(Counter(entry.kind for entry in self.sealed))


def records_of(ledger: Ledger, subjects: Iterable[str]) -> SubjectRecords:
    """Look through a ledger for the records of subjects.

    Args:
        ledger: with its keyring.
        subjects: the values of the subject's column, and their tokens where it is personal.

    Raises:
        UnreadableRecord: the control database is another one.
        DataError: the key of personal columns is another one, by which nobody is found.
    """
    keyring, wanted = _keyring(ledger), list(subjects)
    return _look(ledger, wanted, _readable(keyring, wanted), after=0)


def _look(
    ledger: Ledger, subjects: Collection[str], seals: Collection[bytes], *, after: int
) -> SubjectRecords:
    columns = {period.subject for period in _keyring(ledger).periods}
    found, asked = SubjectRecords([], 0, after), False
    for entry in ledger.raw(after=after):
        found.last = entry.seq
        seal = seal_of(entry)
        asked = asked or _has_our_keys(ledger, entry, seal)
        if seal in seals:
            found.sealed.append(entry)
        elif not seal and entry.kind == "payment":
            values = values_of(entry)
            found.plain += any(values.get(column) in subjects for column in columns)
    return found


def opened_records(ledger: Ledger, subjects: Iterable[str]) -> Iterator[StoredEntry]:
    """All that a ledger has of subjects and can read, oldest first: payments with their results and
    labels, also those of before it sealed any.

    Args:
        subjects: as for `records_of`.
    """
    keyring, wanted = _keyring(ledger), list(subjects)
    seals, columns = _readable(keyring, wanted), {one.subject for one in keyring.periods}
    plain, asked = set[str](), False
    for entry in ledger.raw():
        seal = seal_of(entry)
        asked = asked or _has_our_keys(ledger, entry, seal)
        if seal:
            if seal in seals:
                yield ledger.opened(entry)
            continue
        if entry.kind == "payment":
            values = values_of(entry)
            if any(values.get(column) in wanted for column in columns):
                plain.add(entry.payment_id)
        if entry.payment_id in plain:
            yield entry


def require_own_keys(ledger: Ledger) -> None:
    """Ask the last and the first records whether subjects are found with these keys; raises where
    not, as `records_of`.
    """
    # the first may be older than any key, or their keys destroyed; the last may have other keys
    for after in (max(0, ledger.head().seq - _ASKED_RECORDS), 0):
        for entry in islice(ledger.raw(after=after), _ASKED_RECORDS):
            if _has_our_keys(ledger, entry, seal_of(entry)):
                break


def _has_our_keys(ledger: Ledger, entry: StoredEntry, seal: bytes) -> bool:
    """Whether a record shows that subjects are found with these keys; False where it says nothing.

    Raises as `records_of`.
    """
    keyring = _keyring(ledger)
    if not seal or entry.kind != "payment" or keyring.key(seal) is None:
        return False
    whose = values_of(ledger.opened(entry)).get(keyring.period(seal).subject)
    if whose is None:
        return False
    if seal not in keyring.seals([str(whose)]):
        raise DataError(
            "expected the key of personal columns that the ledger was written with, got another: "
            "nobody could be found by it. Put `personal.key` back, or set SHROFF_PERSONAL_KEY."
        )
    return True


def require_sealed(found: SubjectRecords) -> None:
    """Raise `ConfigurationError` if payments of a subject were written before any was sealed."""
    if found.plain:
        raise ConfigurationError(
            f"{found.plain:,} payments of the subject were written before the schema named a "
            "subject, and are not sealed: nothing was forgotten. Begin another ledger "
            "(SHROFF_LEDGER), and delete this one once no window reaches back to it."
        )


class SubjectErasure:
    """Subjects on their way to be forgotten: what was sealed with the keys that there are now.

    `trace` takes long and changes nothing for anybody. Then new keys must begin, and `finish` ends
    it, quickly if nothing is written meanwhile. What is sealed with the new keys stays.

    Args:
        ledger: open for writing, with its keyring.
        subjects: as for `records_of`.
        traces: keep what others need, nameless.
        arrived: now, in microseconds since the epoch.

    Raises:
        ConfigurationError: by every verb, if some of the subjects' payments are not sealed.
        LedgerUnavailable, ControlUnavailable: by every verb, if a database does not answer.
    """

    def __init__(
        self, ledger: Ledger, subjects: Collection[str], *, traces: bool, arrived: int
    ) -> None:
        self._ledger = ledger
        self.subjects = subjects
        self._traces = traces
        self._arrived = arrived
        # another process may destroy the same keys meanwhile
        self._keyring = _keyring(ledger).copy()
        self._seals = _readable(self._keyring, subjects)
        self._key: SubjectKey | None = None
        self._theirs: set[int] = set()
        self.found = SubjectRecords([], 0, 0)
        """Their records up to now."""

    @property
    def payments(self) -> list[str]:
        """The ids of their payments up to now, in the order of the ledger."""
        return [entry.payment_id for entry in self.found.sealed if entry.kind == "payment"]

    @property
    def view(self) -> Ledger:
        """The ledger without their keys, as it will be, up to the last record looked at."""
        without = self._keyring.without(self._seals, self._arrived)
        return self._ledger.read_with(without, until=self.found.last)

    def trace(self) -> bool:
        """Keep what others need of the records that came since the last time; whether any did.

        Who goes on paying is never done with: look again once new keys have begun.
        """
        # also what is sealed with new keys: a value in it is not somebody else's
        seals = self._seals | _keyring(self._ledger).seals(self.subjects).keys()
        looked = _look(self._ledger, self.subjects, seals, after=self.found.last)
        require_sealed(looked)
        self._theirs.update(entry.seq for entry in looked.sealed)
        new = [entry for entry in looked.sealed if seal_of(entry) in self._seals]
        self.found.last = looked.last
        self.found.sealed += new
        if new and self._traces:
            # the oldest, so that one that was killed and is run again makes equal pseudonyms
            self._key = self._key or _key(self._keyring, min(map(seal_of, new)))
            kept = _traces(self._ledger, self._keyring, new, self._theirs, self._key, self._arrived)
            _write(self._ledger, kept)
        return bool(new)

    def finish(self, destroy: Destroy, *, by: str, at: str) -> None:
        """Record the forgetting and destroy the keys, after new ones have begun.

        Args:
            by: who asked for it; `at` is now in ISO 8601.
        """
        while self.trace():
            continue  # of payments that are known, results and labels may come meanwhile
        seals = frozenset(map(seal_of, self.found.sealed))
        if not seals:
            return
        body = _encode(Forgotten(at, by, self.found.counts, self._traces))
        key = _key(self._keyring, min(seals))
        name = key.pseudonym(b"forgetting", _PSEUDONYM_BYTES).hex()
        entry = Entry("forgotten", name, self._arrived, self._arrived, _NO_DIGEST, body)
        _write(self._ledger, [entry])
        destroy(seals)


def _readable(keyring: Keyring, subjects: Iterable[str]) -> set[bytes]:
    """The seals of subjects whose keys are there."""
    return {seal for seal in keyring.seals(subjects) if keyring.key(seal) is not None}


def expire(
    ledger: Ledger, periods: Collection[int], *, by: str, at: str, arrived: int
) -> dict[str, int]:
    """Record that the keys of whole periods are destroyed; returns how many records of each kind
    they sealed.
    """
    keyring = _keyring(ledger)
    counts = Counter[str](
        entry.kind
        for entry in ledger.raw()
        if (seal := seal_of(entry)) and keyring.period(seal).number in periods
    )
    body = _encode(Forgotten(at, by, dict(counts), traces=False))
    name = f"periods {' '.join(map(str, sorted(periods)))}"
    _write(ledger, [Entry("forgotten", name, arrived, arrived, _NO_DIGEST, body)])
    return dict(counts)


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
    keyring: Keyring,
    sealed: Sequence[StoredEntry],
    theirs: Collection[int],
    key: SubjectKey,
    arrived: int,
) -> Iterator[Entry]:
    """What is kept of records.

    Args:
        keyring: still has their keys.
        theirs: the numbers of all records of the subject.
        key: of all pseudonyms, so that a value has the same one in every period.
    """
    periods = [keyring.period(seal_of(entry)) for entry in sealed]
    columns = {column for period in periods for column in period.identifying}
    subjects = {period.subject for period in periods}
    opened = [keyring.open(entry) for entry in sealed]
    payments = [values_of(entry) for entry in opened if entry.kind == "payment"]
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
            shared.update(own.intersection(_named(values_of(entry), columns)))
    return shared


def _named(values: Mapping[str, Any], columns: Iterable[str]) -> list[_Value]:
    """The values of these columns, with their columns."""
    return [(name, value) for name in columns if isinstance(value := values.get(name), str)]


def values_of(entry: StoredEntry) -> Mapping[str, Any]:
    """The values of a payment's record.

    Raises:
        UnreadableRecord: the record holds none.
    """
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
