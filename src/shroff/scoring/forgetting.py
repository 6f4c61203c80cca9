"""Forgetting people in what a service keeps: its ledger and its cases; its state follows by itself.

Tables of the store are not its own: `shroff forget` forgets them too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Final

from shroff.act import Desk
from shroff.clock import Clock, system_time
from shroff.collect.personal import forms
from shroff.collect.times import iso_time
from shroff.control import SubjectKeys
from shroff.control.subject_keys import ended
from shroff.decisions import Forgetting
from shroff.errors import ConfigurationError, Unavailable
from shroff.features.window import micros
from shroff.ledger import Keyring, Ledger
from shroff.ledger.erasure import SubjectErasure, expire, records_of, require_sealed

_FOLLOW_SECONDS: Final = 5.0
"""Services read their keys each second."""


class Eraser:
    """Forgets people in a ledger and in the cases that were made from it.

    Args:
        ledger: with its keyring; open, unless something is only counted.
        secret: of the HMAC over personal columns.
        follow: lets the ledger's keyring follow the control database.
        patience: seconds after which every service on the same ledger has taken new keys.
    """

    def __init__(
        self,
        ledger: Ledger,
        keys: SubjectKeys,
        desk: Desk,
        *,
        secret: bytes,
        follow: Callable[[], None],
        patience: float = _FOLLOW_SECONDS,
        clock: Clock = system_time,
    ) -> None:
        self._ledger = ledger
        self._keys = keys
        self._desk = desk
        self._secret = secret
        self._follow = follow
        self._patience = patience
        self._clock = clock
        self._busy = Lock()

    def count(self, subjects: Sequence[str]) -> Forgetting:
        """What would be forgotten of people.

        Raises:
            ConfigurationError: as `begin`.
            LedgerUnavailable: the database does not answer.
        """
        columns, found = self._columns, records_of(self._ledger, self._forms(subjects))
        require_sealed(found)
        return Forgetting(records=found.counts, columns=columns, forgotten=False)

    def begin(self, subjects: Sequence[str], *, by: str, traces: bool = True) -> SubjectErasure:
        """Erase people in cases, and keep what others need of their records in the ledger.

        It takes as long as reading the whole ledger twice, and then `finish` forgets them. Killed
        or failed, both can be asked for again.

        Args:
            subjects: values of the schema's subject, as they were sent in payments.
            by: who asks for it.
            traces: keep what features of others need, nameless.

        Raises:
            ConfigurationError: nothing in the ledger is sealed, some of their payments are not, or
                a value can be nobody's.
            Unavailable: a database does not answer.
        """
        columns, values = self._columns, self._forms(subjects)
        erasure = SubjectErasure(self._ledger, values, traces=traces, arrived=self._clock())
        erasure.trace()
        # before, because afterwards nobody knows which payments were theirs
        for column in columns:
            self._desk.forget(column, values, erasure.payments, by)
        return erasure

    def finish(self, erasure: SubjectErasure, *, by: str) -> None:
        """Destroy the keys of people's records up to now.

        Raises:
            Unavailable: a database does not answer.
        """
        if not erasure.found.sealed:
            return
        last = list(self._keyring.periods)[-1]
        self._keys.begin(last.subject, last.identifying, anew=True)
        self._follow()
        if not self._ledger.sole_writer:
            time.sleep(self._patience)
        known = len(erasure.payments)

        def destroy(seals: Collection[bytes]) -> None:
            if late := erasure.payments[known:]:
                for column in self._columns:
                    self._desk.forget(column, erasure.subjects, late, by)
            self._keys.destroy(seals)

        erasure.finish(destroy, by=by, at=iso_time(self._clock(), "seconds"))
        self._follow()

    def done(self, erasure: SubjectErasure) -> Forgetting:
        """What was forgotten; removes what the database still has of destroyed keys, also of a
        forgetting that was killed before.

        Raises:
            ControlUnavailable: others use the database all the time.
        """
        self._keys.scrub()
        return Forgetting(records=erasure.found.counts, columns=self._columns, forgotten=True)

    def expire(self, age: str, *, by: str, dry_run: bool = False) -> Forgetting:
        """Forget all payments of months that ended so long ago, such as `730d`.

        Raises:
            ConfigurationError: nothing in the ledger is sealed, or the age is none.
            Unavailable: a database does not answer.
        """
        columns, now, counts = self._columns, self._clock(), dict[str, int]()
        numbers = ended(list(self._keyring.periods), now - micros(age))
        if numbers and not dry_run:
            at = iso_time(now, "seconds")
            counts = expire(self._ledger, numbers, by=by, at=at, arrived=now)
            self._keys.expire(numbers)
            self._follow()
        return Forgetting(records=counts, periods=numbers, columns=columns, forgotten=not dry_run)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Raise `Unavailable` while another forgetting is under way in this process: it may take
        minutes, for which no request should wait.
        """
        if not self._busy.acquire(blocking=False):
            raise Unavailable("another forgetting is under way: send it again once it is done.")
        try:
            yield
        finally:
            self._busy.release()

    @property
    def _keyring(self) -> Keyring:
        keyring = self._ledger.keyring
        if keyring is None or not keyring.ready:
            raise ConfigurationError(
                "nothing in the ledger is sealed: name the column that says whose a payment is, "
                "as Schema(subject='card_id'), and serve a bundle of it."
            )
        return keyring

    @property
    def _columns(self) -> list[str]:
        return sorted({period.subject for period in self._keyring.periods})

    def _forms(self, subjects: Sequence[str]) -> list[str]:
        return [form for subject in subjects for form in forms(subject, self._secret)]
