"""A ledger that is looked at again and again: each look decodes only what came after the last."""

from __future__ import annotations

from shroff.ledger import Keyring, Ledger
from shroff.monitor.observed import DecidedPayments, LedgerDecisions
from shroff.package import Bundle


class FollowedDecisions:
    """The decisions of a model at every look at its ledger, the same as `from_ledger` gives.

    It reads the whole ledger where it is the first look, the model is another, people were
    forgotten, or the ledger does not have the last record that was read, as a copy may not.
    """

    def __init__(self) -> None:
        self._of: object = None
        self._known: LedgerDecisions | None = None

    def look(self, bundle: Bundle, ledger: Ledger) -> DecidedPayments:
        """The decisions of a model up to now.

        Raises:
            ConfigurationError: the bundle keeps no reference.
            LedgerUnavailable: the database does not answer; the next look goes on.
        """
        of = bundle.digest, _gone(ledger.keyring)
        known = self._known
        if known is None or self._of != of or not ledger.holds(known.last):
            known = LedgerDecisions(bundle)
            self._known, self._of = known, of
        known.take(ledger.entries(after=known.last.seq))
        return known.observed()


def _gone(keyring: Keyring | None) -> list[object]:
    """What keys were destroyed, by period."""
    periods = () if keyring is None else keyring.periods
    return [
        (one.number, one.forgotten, one.expired)
        for one in periods
        if one.forgotten or one.expired is not None
    ]
