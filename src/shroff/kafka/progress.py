"""The progress in a partition: the offset below which every message is done."""

from __future__ import annotations

from collections import deque


class Progress:
    """Messages of one partition, which begin in order and end in any order.

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
        """The offset to commit, where reading resumes after a crash; None before the first is done.
        """
        self._begun: deque[int] = deque()
        self._done: set[int] = set()

    @property
    def idle(self) -> bool:
        """Whether every begun message is done."""
        return not self._begun

    @property
    def left(self) -> int:
        """The number of begun messages that are not done."""
        return len(self._begun) - len(self._done)

    def begin(self, offset: int) -> None:
        """Begin a message; offsets grow, with gaps."""
        self._begun.append(offset)

    def done(self, offset: int) -> None:
        """Finish a message; one that was not begun here is ignored."""
        begun = self._begun
        if not begun or offset < begun[0]:
            return
        self._done.add(offset)
        while begun and begun[0] in self._done:
            first = begun.popleft()
            self._done.discard(first)
            self.position = first + 1
