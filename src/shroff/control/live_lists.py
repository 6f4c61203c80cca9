"""The lists that a service decides by: it reads new edits and keeps those that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Final

from shroff.clock import Clock, system_time
from shroff.control.lists import Lists
from shroff.decide.lists import Edit, Effective, Values, effective

_LATE_EDIT_SECONDS: Final = 60.0
"""Seconds in which an edit with a smaller number than the last one may still appear.

PostgreSQL numbers an edit before the transaction that makes it visible ends, which takes less than
this.
"""
_WATCHED_GAPS: Final = 1_000
"""Most missing numbers before the last edit that are looked up again."""


@dataclass(frozen=True)
class _Known:
    """A reading of the edits: those that matter, counts by list and action, the last number."""

    edits: tuple[Edit, ...] = ()
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    last: int = 0


class LiveLists:
    """The lists of a policy and their edits, kept up to date from a control database."""

    def __init__(self, lists: Lists, *, clock: Clock = system_time) -> None:
        self.store = lists
        self._clock = clock
        self._known = _Known()
        self._reading = Lock()
        # missing numbers of edits, each with the time when it was first missed
        self._gaps: dict[int, float] = {}

    def refresh(self) -> None:
        """Read the edits made since the last refresh; from any thread.

        Raises:
            ControlUnavailable: the lists of the last refresh stay.
        """
        with self._reading:
            self._read()

    def _read(self) -> None:
        if self.store.newest() < self._known.last:
            # the database was replaced or restored from a backup
            self._known = _Known()
            self._gaps.clear()
        before, now = self._known, monotonic()
        self._gaps = {
            number: since
            for number, since in self._gaps.items()
            if since > now - _LATE_EDIT_SECONDS
        }
        found = self.store.edits(after=before.last, also=self._gaps.keys())
        if not found:
            return
        numbers = {edit.id for edit in found}
        last = max(before.last, *numbers)
        new = range(max(before.last + 1, last - _WATCHED_GAPS), last)
        self._gaps = dict.fromkeys((number for number in new if number not in numbers), now) | {
            number: since for number, since in self._gaps.items() if number not in numbers
        }
        edits = sorted((*before.edits, *found), key=lambda edit: edit.id)
        counts = before.counts + Counter((edit.name, edit.action) for edit in found)
        self._known = _Known(tuple(_mattering(edits, self._clock())), counts, last)

    @property
    def edited(self) -> Counter[tuple[str, str]]:
        """The number of edits by list and action."""
        return self._known.counts

    def now(self, seed: Values) -> Effective:
        """The lists of a policy now."""
        known = self._known
        made = effective(seed, known.edits, self._clock())
        return Effective(made.values, (known.last, made.mark[1]), made.until, known.counts.total())

    def hold(self, lists: Effective) -> bool:
        """Whether earlier lists still hold, so that none need be made."""
        known = self._known
        same = (lists.mark[0], lists.edits) == (known.last, known.counts.total())
        return same and (lists.until is None or self._clock() < lists.until)


def _mattering(edits: Iterable[Edit], now: int) -> list[Edit]:
    """The edits that matter: not ended, nor overridden for good by a later one of the value."""
    kept: list[Edit] = []
    settled: set[tuple[str, str]] = set()
    for edit in reversed([*edits]):
        of = edit.name, edit.value
        if of in settled or (edit.until is not None and edit.until <= now):
            continue
        kept.append(edit)
        if edit.until is None and edit.since <= now:
            settled.add(of)
    return kept[::-1]
