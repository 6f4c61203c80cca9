"""A ledger that is looked at again and again: each look decodes only what came after the last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Generic, Protocol, TypeVar

from shroff.collect import Schema
from shroff.ledger import Head, Keyring, Ledger, StoredEntry
from shroff.monitor.observed import DecidedPayments, LedgerDecisions
from shroff.monitor.scheme_watch import DailySums, SchemeCounts
from shroff.package import Bundle


class _Growing(Protocol):
    """What is made of a ledger's entries, which come bit by bit: all up to `last`."""

    last: Head

    def take(self, entries: Iterable[StoredEntry]) -> None: ...


Made = TypeVar("Made", bound=_Growing)


class _Followed(Generic[Made]):
    """What was made of a ledger, brought up to its end by each look.

    The whole ledger is read where it is the first look, something else is asked for, people were
    forgotten, or the ledger does not have the last record that was read, as a copy may not.
    """

    def __init__(self) -> None:
        self._of: object = None
        self._known: Made | None = None

    def look(self, what: object, ledger: Ledger, make: Callable[[], Made]) -> Made:
        of, known = (what, _gone(ledger.keyring)), self._known
        if known is None or self._of != of or not ledger.holds(known.last):
            known = make()
            self._known, self._of = known, of
        known.take(ledger.entries(after=known.last.seq))
        return known


class FollowedDecisions:
    """The decisions of a model at every look at its ledger, the same as `from_ledger` gives."""

    def __init__(self) -> None:
        self._followed = _Followed[LedgerDecisions]()

    def look(self, bundle: Bundle, ledger: Ledger) -> DecidedPayments:
        """The decisions of a model up to now.

        Raises:
            ConfigurationError: the bundle keeps no reference.
            LedgerUnavailable: the database does not answer; the next look goes on.
        """
        known = self._followed.look(bundle.digest, ledger, lambda: LedgerDecisions(bundle))
        return known.observed()


class FollowedSchemes:
    """The sums of days at every look at a ledger, the same as `daily_sums` gives."""

    def __init__(self) -> None:
        self._followed = _Followed[SchemeCounts]()

    def look(
        self, schema: Schema, ledger: Ledger, *, now: int, disputed_by: Collection[str] = ()
    ) -> DailySums | None:
        """The sums up to now (microseconds since the epoch); None without a whole day.

        Args:
            schema: says which sources of labels are trusted more.

        Raises:
            LedgerUnavailable: the database does not answer; the next look goes on.
        """
        what, rank = frozenset(disputed_by), schema.label_rank
        of = what, tuple(schema.label_sources)
        return self._followed.look(of, ledger, lambda: SchemeCounts(rank, what)).sums(now)


def _gone(keyring: Keyring | None) -> list[object]:
    """What keys were destroyed, by period."""
    periods = () if keyring is None else keyring.periods
    return [
        (one.number, one.forgotten, one.expired)
        for one in periods
        if one.forgotten or one.expired is not None
    ]
