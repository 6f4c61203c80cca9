"""The lists that a service decides by: only edits that came since are read, only those that still matter are kept."""

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

_OPEN: Final = 60.0
"""Seconds in which an edit may still come whose number is smaller than one that was seen.

PostgreSQL draws a number before the transaction ends that makes the edit visible; none lasts as long as this.
"""
_GAPS: Final = 1_000
"""Numbers that are looked at for that behind each edit."""


@dataclass(frozen=True)
class _Known:
    """What is known of the edits at one time: those that still matter, how many there ever were, the last number."""

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
        # numbers that were left out, and since when that is known
        self._gaps: dict[int, float] = {}

    def refresh(self) -> None:
        """Read what was edited since; from any thread.

        Raises:
            ControlUnavailable: the lists stay as they were read last.
        """
        with self._reading:
            self._read()

    def _read(self) -> None:
        if self.store.newest() < self._known.last:
            # another database, or one from a backup
            self._known = _Known()
            self._gaps.clear()
        before, now = self._known, monotonic()
        self._gaps = {number: since for number, since in self._gaps.items() if since > now - _OPEN}
        found = self.store.edits(after=before.last, also=self._gaps.keys())
        if not found:
            return
        numbers = {edit.id for edit in found}
        last = max(before.last, *numbers)
        new = range(max(before.last + 1, last - _GAPS), last)
        self._gaps = dict.fromkeys((number for number in new if number not in numbers), now) | {
            number: since for number, since in self._gaps.items() if number not in numbers
        }
        edits = sorted((*before.edits, *found), key=lambda edit: edit.id)
        counts = before.counts + Counter((edit.name, edit.action) for edit in found)
        self._known = _Known(tuple(_mattering(edits, self._clock())), counts, last)

    @property
    def edited(self) -> Counter[tuple[str, str]]:
        """How many edits there are, by list and action."""
        return self._known.counts

    def now(self, seed: Values) -> Effective:
        """The lists of a policy as they are now."""
        known = self._known
        made = effective(seed, known.edits, self._clock())
        return Effective(made.values, (known.last, made.mark[1]), made.until, known.counts.total())

    def hold(self, lists: Effective) -> bool:
        """Whether lists that were made before are as they are now."""
        known = self._known
        same = (lists.mark[0], lists.edits) == (known.last, known.counts.total())
        return same and (lists.until is None or self._clock() < lists.until)


def _mattering(edits: Iterable[Edit], now: int) -> list[Edit]:
    """The edits without those that have ended, and those that a later one of the same value stands before for good."""
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
