"""The ledger's last days in memory, continued as payments come, so that a rule is tried in seconds.

The first reading takes about as long as `shroff backtest --ledger`; then only what is new is read.
Nothing is kept on disk, and after somebody was forgotten all is read anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from threading import Lock, Thread
from typing import Final

import msgspec
import polars as pl

from shroff.backtest.past import Past
from shroff.backtest.recorded_past import past_of_ledger
from shroff.clock import Clock, system_time
from shroff.collect import Schema
from shroff.collect.times import DAY_US
from shroff.decide.lists import Edit
from shroff.errors import ShroffError
from shroff.ledger import Ledger, StoredEntry
from shroff.package import Bundle
from shroff.package.trained import usual_delay
from shroff.promotion import Contender

_log = logging.getLogger(__name__)
_CHUNK_RECORDS: Final = 20_000
_MAX_PARTS: Final = 64
_AGAIN_US: Final = 60_000_000
_FRESH_US: Final = 5_000_000
_LABELS: Final = {
    "\0id": pl.String(),
    "\0said": pl.Boolean(),
    "\0rank": pl.Int64(),
    "\0at": pl.Int64(),
}


class RecentPast:
    """The payments that the ledger has of the last days, as one model's features and probabilities.

    Args:
        open_ledger: opens it to read, with the keys that there are by then.
        published: the bundle of a version; None if it is not there any more.
        days: how many days of payments with mature labels are kept, besides those whose labels may
            be yet to come.
        most_bytes: the most memory for their columns; older payments are left out, and counted.
    """

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        published: Callable[[str], Bundle | None],
        *,
        days: int = 31,
        most_bytes: int = 1 << 30,
        clock: Clock = system_time,
    ) -> None:
        self._open, self._published, self._clock = open_ledger, published, clock
        self._days, self._most_bytes = days, most_bytes
        self._turn = Lock()
        self._reader: Thread | None = None
        self._kept = _Kept("")
        self._again: int | None = None
        self.problem: str | None = None
        """Why the last reading failed; None if it did not."""

    @property
    def payments(self) -> int:
        """How many payments were read so far."""
        return self._kept.past.frame.height if self._kept.past else 0

    def ask(self, one: Contender, edits: Sequence[Edit]) -> Past | None:
        """The payments known now, while a thread reads what is new; None before the first time."""
        kept = self._kept
        known = kept.past if kept.bundle == one.bundle.digest and kept.whole else None
        stale = known is None or self._clock() - kept.read_at > _FRESH_US
        if stale and (self._reader is None or not self._reader.is_alive()):
            self._reader = Thread(target=self._try, args=(one, edits), daemon=True)
            self._reader.start()
        return known

    def follow(self, one: Contender, edits: Sequence[Edit]) -> Past:
        """Read what the ledger has new, at first the whole period, and give the payments.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        with self._turn:
            now = self._clock()
            self._require_fresh(one.bundle, now)
            ledger = self._open()
            try:
                self._read(ledger, one, edits, now)
            finally:
                ledger.close()
            past = self._kept.past or past_of_ledger(
                one.bundle, [], self._published, lists=one.standing.policy.lists
            )
            self._kept.past = self._bounded(past, one.bundle, now)
            self._kept.whole, self._kept.read_at = True, now
            return self._kept.past

    def _try(self, one: Contender, edits: Sequence[Edit]) -> None:
        try:
            self.follow(one, edits)
            self.problem = None
        except ShroffError as error:
            self.problem = str(error)
        except Exception:  # noqa: BLE001  # a thread has nobody to raise to; the page says it
            self.problem = "the ledger could not be read; the log of this process says why."
            _log.exception("cannot read the ledger", extra={"event": "unexpected"})

    def _require_fresh(self, bundle: Bundle, now: int) -> None:
        """Begin anew with another model, and where somebody was forgotten."""
        if self._again is not None and now >= self._again:
            self._again = None
            self._kept = _Kept("")
        if self._kept.bundle != bundle.digest:
            self._kept = _Kept(bundle.digest)

    def _read(self, ledger: Ledger, one: Contender, edits: Sequence[Edit], now: int) -> None:
        bundle, kept = one.bundle, self._kept
        since = now - _days_kept(bundle, self._days) * DAY_US
        entries = ledger.entries(since=since, after=kept.last)
        while chunk := [*islice(entries, _CHUNK_RECORDS)]:
            forgetting = max((entry.seq for entry in chunk if entry.kind == "forgotten"), default=0)
            if kept.began < forgetting:
                # its keys are destroyed just after the record of it: this reading may be too early
                self._again = now + _AGAIN_US
                kept = self._kept = _Kept(bundle.digest, forgetting)
                entries = ledger.entries(since=since)
                continue
            payments = [entry for entry in chunk if entry.kind == "payment"]
            lists = one.standing.policy.lists
            kept.add(
                past_of_ledger(bundle, payments, self._published, lists=lists, edits=edits)
                if payments
                else None,
                _labels(chunk, bundle.schema),
                chunk[-1].seq,
            )
        kept.label()

    def _bounded(self, past: Past, bundle: Bundle, now: int) -> Past:
        """Without payments that are too old, or more than memory may take."""
        first, frame = now - _days_kept(bundle, self._days) * DAY_US, past.frame
        oldest = frame["\0moment"].min() if len(past) else None
        if isinstance(oldest, int) and oldest < first - DAY_US:
            frame = frame.filter(pl.col("\0moment") >= first)
        notices: list[str] = []
        size = frame.estimated_size()
        if size > self._most_bytes:
            most = int(frame.height * self._most_bytes / size)
            notices = [f"only the newest {most:,} payments are kept in memory."]
            frame = frame.tail(most)
        if frame.n_chunks() > _MAX_PARTS:
            frame = frame.rechunk()
        same = frame is past.frame and not notices
        return past if same else replace(past, frame=frame, notices=notices)


class _Kept:
    """What was read for a bundle, by its digest; `began` is the last forgetting before that."""

    def __init__(self, bundle: str, began: int = 0) -> None:
        self.bundle, self.began = bundle, began
        self.past: Past | None = None
        self.labels = pl.DataFrame(schema=_LABELS)
        self.last = 0
        self.whole = False
        self.read_at = 0
        self._unlabelled = False

    def add(self, past: Past | None, labels: pl.DataFrame, last: int) -> None:
        """Payments and labels that came later."""
        if past is not None:
            self.past = past if self.past is None else _joined(self.past, past)
        self.labels = self.labels.vstack(labels)
        self._unlabelled |= past is not None or labels.height > 0
        self.last = last

    def label(self) -> None:
        """Give payments the labels that stand: of the source ranked first, the latest."""
        if not self._unlabelled or self.past is None:
            return
        order = self.labels.sort("\0rank", "\0at", descending=[True, False], maintain_order=True)
        standing = order.unique("\0id", keep="last").select("\0id", "\0said")
        frame = self.past.frame.join(standing, on="\0id", how="left", maintain_order="left")
        fraud = pl.coalesce("\0said", "\0fraud").alias("\0fraud")
        self.past = replace(self.past, frame=frame.with_columns(fraud).drop("\0said"))
        self.labels = self.labels.join(self.past.frame.select("\0id"), on="\0id", how="semi")
        self._unlabelled = False


def _joined(before: Past, after: Past) -> Past:
    counts: Mapping[str, int] = {
        why: before.left_out.get(why, 0) + after.left_out.get(why, 0)
        for why in (*before.left_out, *after.left_out)
    }
    return replace(
        before,
        frame=before.frame.vstack(after.frame.select(before.frame.columns)),
        until=max(before.until, after.until),
        left_out=counts,
    )


def _labels(entries: Iterable[StoredEntry], schema: Schema) -> pl.DataFrame:
    def rows() -> Iterator[tuple[str, bool, int, int]]:
        for entry in entries:
            if entry.kind == "label" and not entry.gone:
                body = msgspec.json.decode(entry.body)
                rank = schema.label_rank(body.get("source"))
                yield entry.payment_id, body["value"], rank, entry.arrived

    return pl.DataFrame(list(rows()), schema=_LABELS, orient="row")


def _days_kept(bundle: Bundle, days: int) -> int:
    return days + usual_delay(bundle)
