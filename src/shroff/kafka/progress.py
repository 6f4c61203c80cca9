"""How far a partition is done: the offset below which nothing is left to do."""

from __future__ import annotations

from collections import deque


class Progress:
    """Messages of one partition that begin in order and are done in any.

    >>> progress = Progress()
    >>> progress.begin(5), progress.begin(6), progress.begin(9)
    (None, None, None)
    >>> progress.done(6)
    >>> progress.position is None
    True
    >>> progress.done(5)
    >>> progress.position, progress.idle
    (7, False)
    """

    __slots__ = ("_begun", "_done", "position")

    def __init__(self) -> None:
        self.position: int | None = None
        """The offset to read from after a crash; None while nothing was done."""
        self._begun: deque[int] = deque()
        self._done: set[int] = set()

    @property
    def idle(self) -> bool:
        """Whether everything that began is done."""
        return not self._begun

    @property
    def left(self) -> int:
        """How many that began are not done."""
        return len(self._begun) - len(self._done)

    def begin(self, offset: int) -> None:
        """A message is on its way; offsets grow, with gaps."""
        self._begun.append(offset)

    def done(self, offset: int) -> None:
        """A message needs nothing more; one that did not begin here is ignored."""
        begun = self._begun
        if not begun or offset < begun[0]:
            return
        self._done.add(offset)
        while begun and begun[0] in self._done:
            first = begun.popleft()
            self._done.discard(first)
            self.position = first + 1
