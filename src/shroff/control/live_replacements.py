"""Replacements in force in a running service.

What a table takes to make ready, nobody who pays may wait for: a long one is read, checked and
packed by a process of its own (`packing`), and this one maps the bytes into its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from mmap import mmap
from threading import Lock
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from shroff.control.packing import Kind, Packing, Task
from shroff.control.replacements import Latest, Replacements
from shroff.errors import ControlUnavailable

_MAX_SHORT_BYTES: Final = 1 << 18
"""Bytes of JSON that a thread of this process makes ready in some tens of milliseconds."""
_RETRY_SECONDS: Final = 30.0
"""Seconds after which a table that could not be made ready is tried again."""

T = TypeVar("T", bound=Any)
P = TypeVar("P")


class LiveReplacements(Generic[T, P]):
    """The replacements in force, kept up to date from a control database.

    Args:
        store: the replacements, of this `kind`.
        unpack: makes of packed bytes what payments are read with.
    """

    def __init__(
        self, store: Replacements[T], kind: Kind, unpack: Callable[[bytes | mmap], P]
    ) -> None:
        self.store = store
        self.tables: Mapping[str, P | None] = {}
        """What was put in place last, by name; None where each bundle's own holds again."""
        self._kind: Final = kind
        self._unpack = unpack
        self._held: dict[str, Latest] = {}
        self._failed: dict[int, float] = {}
        self._under_way: tuple[Latest, Packing] | None = None
        self._first = True
        self._one_at_a_time = Lock()

    def refresh(self) -> None:
        """Take up what was put in place since the last refresh; from any thread.

        The first takes up everything. Later ones wait for no long table: a process makes it ready,
        and the refresh that finds it done takes it up.

        Raises:
            ControlUnavailable: what was read last stays in force.
        """
        with self._one_at_a_time:
            wait, self._first = self._first, False
            failures = [*self._finish(wait)]
            for one in self.store.latest():
                if self._behind(one):
                    failures += self._follow(one)
                    failures += self._finish(wait)
            if failures:
                raise failures[-1]

    def _behind(self, one: Latest) -> bool:
        """Whether a replacement is neither in force nor has failed just now."""
        held = self._held.get(one.name)
        return (held is None or held.id < one.id) and self._failed.get(one.id, 0.0) <= monotonic()

    def _follow(self, one: Latest) -> list[ControlUnavailable]:
        """Take up a replacement, or let a process make its table ready."""
        try:
            same = [each.name for each in self._held.values() if one.digest == each.digest]
            if one.reset:
                self._hold(one, None)
            elif same and one.digest is not None:
                self._hold(one, self.tables[same[0]])
            elif one.size_bytes is not None and one.size_bytes <= _MAX_SHORT_BYTES:
                self._hold(one, self._unpack(b"".join(self.store.packed(one))))
            elif self._under_way is None:
                self._under_way = one, Packing(Task(self.store.url, self._kind, one))
        except ControlUnavailable as error:
            return [self._fail(one, error)]
        return []

    def _finish(self, wait: bool) -> list[ControlUnavailable]:
        """Take up what a process has made ready."""
        if self._under_way is None or not (wait or self._under_way[1].done):
            return []
        (one, packing), self._under_way = self._under_way, None
        try:
            table = self._unpack(packing.result())
        except ControlUnavailable as error:
            return [self._fail(one, error)]
        # a short one may have come meanwhile
        if self._behind(one):
            self._hold(one, table)
        return []

    def _hold(self, one: Latest, table: P | None) -> None:
        self._held[one.name] = one
        self.tables = {**self.tables, one.name: table}
        self._failed.clear()

    def _fail(self, one: Latest, error: ControlUnavailable) -> ControlUnavailable:
        self._failed[one.id] = monotonic() + _RETRY_SECONDS
        return error
