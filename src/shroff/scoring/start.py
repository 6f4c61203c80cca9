"""What a service starts from: which history, how much of the ledger, and how far the ledger's chain was proved.

Features follow from what came before, so two starts that know another past decide otherwise. Each start leaves a record
of its past in the ledger, writes it to the log, and shows it in the health check.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import Final, Self

import msgspec

from shroff.collect.extent import Extent
from shroff.collect.times import format_time, parse_time
from shroff.errors import BrokenChain, BundleError, UnreadableRecord
from shroff.ledger import GENESIS, Entry, Head, Ledger, StoredEntry
from shroff.ledger.answer import encode
from shroff.ledger.decision_ids import decision_id
from shroff.package import Bundle
from shroff.state import Mark

_WHOLE: Final = 100_000
"""Records that are all proved at a start, within seconds; of more, only those since the last start."""
_SHOWN: Final = 12
"""Digits that the log shows of a digest: a long run of digits looks like a card number."""
_DAY: Final = 86_400_000_000
_log = logging.getLogger(__name__)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """How far the ledger's chain was proved: from behind record `after` up to record `last`.

    `anchor` and `chain` are the chain values of these two records. `broken` says what was wrong where the service was
    told to start all the same.
    """

    after: int
    anchor: str
    last: int
    chain: str
    broken: str | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's body of a start: which bundle decides, and what the state was built from.

    `history` is the table that came first, `records` the number of the ledger's last record that came after it,
    `oldest` and `newest` the times of the first and the last payment among them. `shared`: the state was there already,
    kept by other processes. `lost` is the history that an earlier start knew and this one does not. `known` is the
    moment up to which history had arrived, a few minutes after the start, and `future` how many payments of history and
    ledger lie later.
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

    @classmethod
    def of(cls, bundle: Bundle, mark: Mark, checked: Checked, before: Start | None) -> Start:
        """The start by a bundle from a state that was built so far, after another start."""
        oldest, newest = (format_time(time) if time else None for time in (mark.oldest, mark.newest))
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
        )

    def sentence(self) -> str:
        """What features start from."""
        parts = []
        if self.history is not None:
            parts.append(f"{self.history.rows:,} payments of history (digest {self.history.digest[:_SHOWN]})")
        if self.shared:
            parts = ["the state that other processes keep"]
        elif self.newest is not None and self.records:
            parts.append(f"the ledger's records up to {self.records:,}")
        newest = "" if self.newest is None else f"; their newest payment is of {self.newest}"
        return f"features start from {' and '.join(parts) or 'nothing'}{newest}"

    def said(self) -> dict[str, str | int | None]:
        """The same in fields of the log; of digests only the beginning, for a long run of digits looks like a card."""
        history = self.history
        return {
            "bundle": self.bundle,
            "history_rows": None if history is None else history.rows,
            "history_digest": None if history is None else history.digest[:_SHOWN],
            "records": self.records,
            "newest": self.newest,
            "future": self.future,
            "checked_up_to": self.checked.last,
            "chain": self.checked.chain[:_SHOWN],
        }

    def entry(self, arrived: int) -> Entry:
        """The start as an entry of the ledger, with an id of its own."""
        body = encode(self)
        return Entry("start", decision_id(arrived), arrived, arrived, sha256(body).digest(), body)


_decode: Final = msgspec.json.Decoder(Start).decode


def stored_start(entry: StoredEntry | None) -> Start | None:
    """The start in a record; None where it holds none."""
    try:
        return None if entry is None else _decode(entry.body)
    except msgspec.MsgspecError:
        return None


def require_currency(bundle: Bundle, counted: str | None) -> None:
    """Raise `BundleError` when a bundle reads amounts in another currency than payments were counted in."""
    if bundle.currency not in (None, counted):
        raise BundleError(
            f"the bundle reads amounts in {bundle.currency}, but payments were counted in "
            f"{counted or 'several currencies'}: train it in that one, or begin another ledger (SHROFF_LEDGER)."
        )


class Check:
    """Proves the ledger's chain at a start: all of it, or where that is long what came since the last start.

    As a context, in which the ledger is read by `proof`; at its end the rest is proved.

    Args:
        accept: go on where it is broken, and say so in what is checked.

    Raises:
        BrokenChain: the ledger was changed.
        LedgerUnavailable: the database does not answer.
    """

    def __init__(self, ledger: Ledger, *, accept: bool) -> None:
        self._ledger = ledger
        last = ledger.last_start()
        self.before = stored_start(last)
        """The last start."""
        self._anchor = _anchor(ledger, last, self.before)
        self.proof = ledger.proof(self._anchor, tolerant=accept)

    def done(self) -> Checked:
        """How far the chain was proved."""
        end, broken = self.proof.head, self.proof.broken
        if broken is not None:
            end = self._ledger.head()
            _log.warning("the service starts with a broken ledger: %s", broken, extra={"event": "broken_chain"})
        after, anchor = self._anchor
        return Checked(after=after, anchor=anchor.hex(), last=end.seq, chain=end.chain.hex(), broken=broken)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self.proof.finish()
            elif isinstance(error, BrokenChain):
                raise error
        except UnreadableRecord:
            raise
        except BrokenChain as broken:
            raise BrokenChain(
                f"{broken} Find out what changed it; to start all the same, and keep a record of that, "
                "pass --accept-broken-chain."
            ) from None


def _anchor(ledger: Ledger, entry: StoredEntry | None, start: Start | None) -> Head:
    """The record behind which the chain is to be proved, from the last start."""
    if entry is None or start is None:
        return Head(0, GENESIS)
    checked = start.checked
    if checked.broken is not None:
        # it was accepted, and stays broken
        return Head(entry.seq, entry.chain)
    if ledger.head().seq - checked.after > _WHOLE:
        return Head(checked.last, bytes.fromhex(checked.chain))
    return Head(checked.after, bytes.fromhex(checked.anchor))


def say_end(end: Head | None) -> None:
    """Say where the ledger ends when the service stops, if it ever wrote."""
    if end is not None:
        noted = {"records": end.seq, "chain": end.chain.hex()[:_SHOWN]}
        _log.info(
            "the ledger ends with %d:%s; noted elsewhere, it lets `shroff ledger verify --since` find an older copy.",
            *noted.values(),
            extra={"event": "stopped", "fields": noted},
        )


def _lost(mark: Mark, *known: Extent | None) -> Extent | None:
    """The largest history that earlier starts knew, where this one knows less."""
    largest = max((one for one in known if one is not None), key=lambda one: one.rows, default=None)
    has = 0 if mark.history is None else mark.history.rows
    return None if mark.shared or largest is None or has >= largest.rows else largest


def missing_past(bundle: Bundle, mark: Mark, horizon: int, start: Start) -> str | None:
    """What an operator should know of a start that knows less than the model, or the start before, did.

    Args:
        horizon: how far back features look, in microseconds.
        start: this one.
    """
    if mark.shared or not horizon:
        return None
    if start.lost is not None and _reaches(start.lost, mark.newest - horizon):
        has = 0 if mark.history is None else mark.history.rows
        return (
            f"an earlier start knew {start.lost.rows:,} payments of history, this one knows {has:,}: features differ; "
            "pass the same table with --warm."
        )
    if bundle.history is None or mark.history is not None or mark.newest - mark.oldest >= horizon:
        return None
    if not mark.newest:
        return (
            f"features start from nothing, but the model was trained with history until {bundle.history.newest}: "
            "pass the history with --warm, or decisions differ from those it was judged by."
        )
    return (
        f"features look {-(-horizon // _DAY):,} days back, but the ledger begins at {format_time(mark.oldest)} with no "
        "history before it: pass one with --warm, or decisions differ from those the model was judged by."
    )


def wrong_past(bundle: Bundle, mark: Mark, horizon: int, start: Start) -> dict[str, str]:
    """What an operator should know of the past that a start knows, by the event under which it is logged.

    Args:
        horizon: how far back features look, in microseconds.
        start: this one.
    """
    found = {"missing_past": missing_past(bundle, mark, horizon, start), "future_past": _future_past(start)}
    return {event: sentence for event, sentence in found.items() if sentence is not None}


def _future_past(start: Start) -> str | None:
    """What an operator should know of a past that lies in the future."""
    if not start.future:
        return None
    return (
        f"history and ledger hold payments more than 5 minutes later than this machine's clock ({start.future:,}): no "
        "other payment is late because of them, and those of the history that have not arrived by the clock do not "
        "count. Correct their times in the table of --warm, or the clock, and start again."
    )


def _reaches(history: Extent, since: int) -> bool:
    """Whether windows that begin at a moment still hold payments of a history."""
    return history.newest is not None and parse_time(history.newest, None) >= since
