"""Names of which all timelines share one object: every payment brings its names as new strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from sys import getrefcount
from typing import Any, Final, TypeVar

T = TypeVar("T")

_FEW_NAMES: Final = 1 << 16
"""So many names are kept without looking whether they are used."""


class SharedNames:
    """A table of names that is swept once it has doubled: names that nobody else holds leave it.

    `sys.intern` is not used, because in Python 3.12 interned strings stay for ever.

    >>> names = SharedNames()
    >>> names.once("".join("ab")) is names.once("".join("ab")), names.once(1)
    (True, 1)
    """

    def __init__(self, few: int = _FEW_NAMES) -> None:
        self._few = self._most = few
        self._names: dict[str, str] = {}
        # how often a name is counted that only a table holds, which differs between Pythons
        alone = "".join(("only ", "here"))
        table = {alone: alone}
        del alone
        ((_, self._unheld),) = _held(table)

    def __len__(self) -> int:
        return len(self._names)

    def once(self, name: T) -> T:
        """The name as the one object that all share; another value than a text as it is."""
        if name.__class__ is not str:
            return name
        return self._names.setdefault(name, name)  # type: ignore[arg-type,return-value]  # it is one

    def all(self, names: Iterable[T]) -> list[T]:
        """`once` for many."""
        shared: Callable[[Any, Any], Any] = self._names.setdefault
        return [shared(name, name) if name.__class__ is str else name for name in names]

    def sweep(self) -> None:
        """Remove names that nobody else holds, if there are twice as many as after the last time.

        So a name costs two looks, whatever their number.
        """
        if len(self._names) <= self._most:
            return
        for name in [name for name, held in _held(self._names) if held <= self._unheld]:
            del self._names[name]
        self._most = max(2 * len(self._names), self._few)


def _held(table: dict[str, str]) -> list[tuple[str, int]]:
    """The names of a table, each with how many references to it there are."""
    # a list first: other threads may add names meanwhile
    return [(name, getrefcount(name)) for name in list(table)]


NAMES: Final = SharedNames()
"""The names of all states of this process."""
