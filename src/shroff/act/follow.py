"""The desk's errands: news of the ledger become cases, and labels of cases go back to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from shroff.act.desk import Desk
from shroff.act.intake import CaseIntake
from shroff.errors import BadPayment, NotFound, PaymentConflict
from shroff.ledger import Ledger

SendLabel = Callable[[str, bool, str, str], None]
"""Sends a label: payment id, fraud or not, who says so, and the id under which it counts once."""
_log = logging.getLogger(__name__)


class Errand(NamedTuple):
    """Records that were new, labels that were sent, and those that the service refused for good."""

    taken: int
    sent: int
    refused: int


def ledger_name(ledger: Ledger) -> str | None:
    """A name that no other ledger has, from its first record; None while it is empty."""
    first = next(iter(ledger.entries()), None)
    return None if first is None else first.chain.hex()[:32]


def run_errand(desk: Desk, intake: CaseIntake, ledger: Ledger, send: SendLabel | None) -> Errand:
    """Take what the ledger has that is new, then send the labels that wait, if there is a way.

    A label that was sent before a crash, and could not be noted, is sent again: it has an id.

    Raises:
        LedgerUnavailable, ControlUnavailable: a database does not answer.
        Unavailable: the service does not; labels wait until it does.
    """
    taken = intake.take(ledger.entries(after=intake.mark()))
    sent = refused = 0
    while send is not None and (labels := desk.take_labels()):
        for label in labels:
            try:
                send(label.payment_id, label.fraud, label.by, label.event)
                sent += 1
            except (BadPayment, NotFound, PaymentConflict) as error:
                _log.error("a label of a case was refused: %s", error, extra={"event": "label"})
                refused += 1
            desk.sent(label)
    return Errand(taken, sent, refused)
