"""What an operator should know of a start's past: missing history, times in the future,
forgotten payments, payments of another schema, a state that is not kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

from shroff.collect.extent import Extent
from shroff.collect.times import DAY_US, format_time, parse_time
from shroff.package import Bundle
from shroff.scoring.start import Start
from shroff.state import Mark

_log = logging.getLogger(__name__)


class PastNotice(NamedTuple):
    """What is wrong with the past of a start, in a sentence.

    `until` is the event time, microseconds since the epoch, from which windows reach nothing of it
    any more; None: it lasts until the next start.
    """

    sentence: str
    until: int | None = None


def say_start(start: Start, bundle: Bundle, mark: Mark, horizon: int) -> list[PastNotice]:
    """Log a start and what is wrong with its past, which is returned.

    Args:
        horizon: how far back features look, in microseconds.
    """
    _log.info("%s.", start.sentence(), extra={"event": "started", "fields": start.said()})
    found = {
        "missing_past": _missing_past(bundle, mark, horizon, start),
        "future_past": _future_past(start),
        "forgotten_past": _forgotten_past(start, mark.newest + horizon),
        "other_past": _other_past(start, mark.newest + horizon),
        "other_tokens": _other_tokens(start, mark.newest + horizon),
        "state_evicts": _evicting(mark),
    }
    wrong = {event: notice for event, notice in found.items() if notice is not None}
    for event, notice in wrong.items():
        _log.warning("%s", notice.sentence, extra={"event": event})
    return [*wrong.values()]


def still_said(notices: Iterable[PastNotice], newest: int) -> str | None:
    """Those notices whose past windows still reach once there was a payment of this event time.

    >>> still_said(
    ...     [PastNotice("three payments are missing.", until=60), PastNotice("a clock is off.")], 60
    ... )
    'a clock is off.'
    """
    said = [one.sentence for one in notices if one.until is None or newest < one.until]
    return " ".join(said) or None


def _missing_past(bundle: Bundle, mark: Mark, horizon: int, start: Start) -> PastNotice | None:
    """The warning about a start that knows less history than the model or the start before.

    Args:
        horizon: how far back features look, in microseconds.
        start: this one.
    """
    if mark.shared or not horizon:
        return None
    if start.lost is not None and _reaches(start.lost, mark.newest - horizon):
        has = 0 if mark.history is None else mark.history.rows
        return PastNotice(
            f"an earlier start knew {start.lost.rows:,} payments of history, this one knows "
            f"{has:,}: features differ; pass the same table with --warm.",
            _newest(start.lost) + horizon,
        )
    if bundle.history is None or mark.history is not None or mark.newest - mark.oldest >= horizon:
        return None
    if not mark.newest:
        return PastNotice(
            "features start from nothing, but the model was trained with history until "
            f"{bundle.history.newest}: "
            "pass the history with --warm, or decisions differ from those it was judged by.",
            None if mark.known is None else mark.known + horizon,
        )
    return PastNotice(
        f"features look {-(-horizon // DAY_US):,} days back, but the ledger begins at "
        f"{format_time(mark.oldest)} with no history before it: pass one with --warm, or decisions "
        "differ from those the model was judged by.",
        mark.oldest + horizon,
    )


def _future_past(start: Start) -> PastNotice | None:
    """The warning about history and records that lie in the future."""
    if not start.future:
        return None
    return PastNotice(
        "history and ledger hold payments more than 5 minutes later than this machine's clock "
        f"({start.future:,}): no other payment is late because of them, and those of the history "
        "that have not arrived by the clock do not count. Correct their times in the table of "
        "--warm, or the clock, and start again."
    )


def _forgotten_past(start: Start, until: int) -> PastNotice | None:
    """The warning about forgotten payments that windows still reach."""
    if not start.forgotten:
        return None
    return PastNotice(
        f"nothing was kept of {start.forgotten:,} forgotten payments that features still reach: "
        "they count less than before.",
        until,
    )


def _other_past(start: Start, until: int) -> PastNotice | None:
    """The warning about a ledger of another project, or of a schema that had fewer columns."""
    if not start.lacking:
        return None
    return PastNotice(
        f"{start.lacking:,} payments of the ledger lack a column that features read of them, and "
        "do not count there: the schema had fewer columns then, or the ledger is of another "
        "project (SHROFF_LEDGER, SHROFF_HOME).",
        until,
    )


def _other_tokens(start: Start, until: int) -> PastNotice | None:
    """The warning about another key of personal columns than that of the start before."""
    if not start.other_tokens:
        return None
    return PastNotice(
        "the start before had another key of personal columns: its payments have other tokens for "
        "the same people, so a payment of it that is sent again is refused, and features do not "
        "find what a person did before. Put its `personal.key` back, or set SHROFF_PERSONAL_KEY, "
        "on all machines the same, and start again.",
        until,
    )


def _evicting(mark: Mark) -> PastNotice | None:
    """The warning about a state server that drops keys in silence."""
    if mark.evicting is None:
        return None
    return PastNotice(
        f"the state server drops keys when its memory is full (maxmemory-policy {mark.evicting}), "
        "and features would count less in silence: set noeviction, and start again."
    )


def _reaches(history: Extent, since: int) -> bool:
    """Whether windows that begin then still hold payments of a history."""
    return history.newest is not None and _newest(history) >= since


def _newest(history: Extent) -> int:
    return 0 if history.newest is None else parse_time(history.newest, None)
