"""A start of a service: its history, how much of the ledger, how far the chain was verified.

Features depend on the past, so two starts that know different pasts decide differently. Each start
records its past in the ledger, writes it to the log and shows it in the health check.
"""

from __future__ import annotations

import hmac
import logging
from hashlib import sha256
from typing import Final

import msgspec

from shroff.collect.extent import Extent
from shroff.collect.payment import counted_in
from shroff.collect.times import format_time
from shroff.errors import BundleError
from shroff.ledger import Entry, Head, Ledger, StoredEntry
from shroff.ledger.answer import encode, stored_payment
from shroff.ledger.decision_ids import decision_id
from shroff.package import Bundle
from shroff.state import Mark

_SHOWN_DIGITS: Final = 12
"""Digits of a digest in the log: more might look like a card number."""
_log = logging.getLogger(__name__)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """How far the ledger's chain was verified: after record `after`, up to record `last`.

    `anchor` and `chain` are the chain values of these two records. `broken` says what was wrong
    when an operator made the service start all the same.
    """

    after: int
    anchor: str
    last: int
    chain: str
    broken: str | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's body of a start: which bundle decides, and what the state was built from.

    `history` is the table that came first, `records` the number of the ledger's last record that
    came after it, `oldest` and `newest` the times of the first and the last payment among them.
    `shared`: the state was there already, kept by other processes. `lost` is the history that an
    earlier start knew and this one does not. `known` is the moment up to which history had arrived,
    a few minutes after the start, and `future` how many payments of history and ledger lie later.
    `forgotten` is how many payments were forgotten so that nothing of them can be counted, and
    `lacking` how many of the ledger's payments lack a column that features read of them. `tokens`
    tells keys of personal columns apart, and `other_tokens` says that the start before had another
    key; both only where the schema has such columns.
    """

    bundle: str
    history: Extent | None
    records: int
    newest: str | None
    shared: bool
    checked: Checked
    oldest: str | None = None
    lost: Extent | None = None
    known: str | None = None
    future: int = 0
    forgotten: int = 0
    lacking: int = 0
    tokens: str | None = None
    other_tokens: bool = False

    @classmethod
    def of(
        cls, bundle: Bundle, mark: Mark, checked: Checked, before: Start | None, key: bytes
    ) -> Start:
        """The start of a bundle from the state built so far, after an earlier start.

        Args:
            key: of the HMAC over personal columns.
        """
        tokens = _tokens(key) if bundle.schema.personal else None
        earlier = None if before is None else before.tokens
        oldest, newest = (
            format_time(time) if time else None for time in (mark.oldest, mark.newest)
        )
        return cls(
            bundle=bundle.version,
            history=mark.history,
            records=mark.seq,
            oldest=oldest,
            newest=newest,
            shared=mark.shared,
            checked=checked,
            lost=None if before is None else _lost(mark, before.history, before.lost),
            known=None if mark.known is None else format_time(mark.known),
            future=mark.future,
            forgotten=mark.forgotten,
            lacking=mark.lacking,
            tokens=tokens,
            other_tokens=None not in (tokens, earlier) and tokens != earlier,
        )

    def sentence(self) -> str:
        """What features start from."""
        parts = []
        if self.history is not None:
            parts.append(
                f"{self.history.rows:,} payments of history (digest "
                f"{self.history.digest[:_SHOWN_DIGITS]})"
            )
        if self.shared:
            parts = ["the state that other processes keep"]
        elif self.newest is not None and self.records:
            parts.append(f"the ledger's records up to {self.records:,}")
        newest = "" if self.newest is None else f"; their newest payment is of {self.newest}"
        return f"features start from {' and '.join(parts) or 'nothing'}{newest}"

    def said(self) -> dict[str, str | int | None]:
        """The same as fields of the log, digests cut so that none looks like a card number."""
        history = self.history
        return {
            "bundle": self.bundle,
            "history_rows": None if history is None else history.rows,
            "history_digest": None if history is None else history.digest[:_SHOWN_DIGITS],
            "records": self.records,
            "newest": self.newest,
            "future": self.future,
            "forgotten": self.forgotten,
            "lacking": self.lacking,
            "checked_up_to": self.checked.last,
            "chain": self.checked.chain[:_SHOWN_DIGITS],
        }

    def entry(self, arrived: int) -> Entry:
        """The start as an entry of the ledger, with an id of its own."""
        body = encode(self)
        return Entry("start", decision_id(arrived), arrived, arrived, sha256(body).digest(), body)


def _tokens(key: bytes) -> str:
    """What tells a key of personal columns from others, and says nothing else of it."""
    return hmac.digest(key, b"whose tokens", "sha256").hex()[:_SHOWN_DIGITS]


_decode: Final = msgspec.json.Decoder(Start).decode


def stored_start(entry: StoredEntry | None) -> Start | None:
    """The start in a record; None where it holds none."""
    try:
        return None if entry is None else _decode(entry.body)
    except msgspec.MsgspecError:
        return None


def require_currency(bundle: Bundle, counted: str | None) -> None:
    """Raise `BundleError` if a bundle's amounts are in another currency than the ledger's."""
    if bundle.currency not in (None, counted):
        raise BundleError(
            f"the bundle reads amounts in {bundle.currency}, but payments were counted in "
            f"{counted or 'several currencies'}: train it in that one, or begin another ledger "
            "(SHROFF_LEDGER)."
        )


def currency_of(ledger: Ledger, bundle: Bundle) -> str | None:
    """The currency in which a ledger has amounts; the bundle's where it has no payment yet."""
    payments = (entry for entry in ledger.entries() if entry.kind == "payment" and not entry.gone)
    first = next(payments, None)
    return bundle.currency if first is None else counted_in(stored_payment(first), bundle.schema)


def say_end(end: Head | None) -> None:
    """Log where the ledger ends when the service stops, if it ever wrote."""
    if end is not None:
        noted = {"records": end.seq, "chain": end.chain.hex()[:_SHOWN_DIGITS]}
        _log.info(
            "the ledger ends with %d:%s; noted elsewhere, it lets `shroff ledger verify --since` "
            "find an older copy.",
            *noted.values(),
            extra={"event": "stopped", "fields": noted},
        )


def _lost(mark: Mark, *known: Extent | None) -> Extent | None:
    """The largest history that earlier starts knew, where this one knows less."""
    largest = max((one for one in known if one is not None), key=lambda one: one.rows, default=None)
    has = 0 if mark.history is None else mark.history.rows
    return None if mark.shared or largest is None or has >= largest.rows else largest
