"""What a process makes of payments that a script has added to their logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from shroff.features.engines.online.base import Observed
from shroff.features.engines.online.redis.ahead import Ahead, ReadingAhead
from shroff.features.engines.online.redis.replica import Place, Replica
from shroff.features.engines.online.redis.sending import Placed
from shroff.features.engines.online.redis.trimming import MIN_LOG_ENTRIES, Trimming

_LATE: Final = 0
_Told = tuple[int, int, Sequence[bytes]]
"""Which of a payment's logs, counted from 1, its length, and entries that others have written."""


class Observing:
    """The features of payments, from the replies to the script that adds them.

    Attributes:
        seen: the last arrival that this process knows of.
        newest: the latest event time that it knows of, not in the future, microseconds.
    """

    def __init__(self, replica: Replica, trimming: Trimming) -> None:
        self._replica, self._trimming = replica, trimming
        self.seen = self.newest = 0

    def observed(
        self, placed: Sequence[Placed], reply: Sequence[Any], ahead: Ahead | None
    ) -> list[Observed]:
        """What became of these payments."""
        newest, now, first, others, told = reply
        there: dict[int, int] = dict(zip(others[::2], others[1::2], strict=True)) if others else {}
        news = _by_payment(told) if told else {}
        observed: list[Observed] = []
        for arrival, (payment, places) in enumerate(placed, start=first):
            number = arrival - first + 1
            arrived = there.get(number, arrival)
            if arrived == _LATE:
                observed.append(Observed(arrival, None))
                continue
            if arrived > self.seen:
                self.seen = arrived
            # links of one that is there again are as of now where they cannot be as of then
            reading = None if ahead is None else ReadingAhead(ahead, set(places), self.seen)
            if number in there:
                logs = [entries for _, _, entries in news[number]] if places else []
                then = self._replica.as_of(payment, places, logs, arrived, newest, reading)
                observed.append(Observed(arrived, then, again=True))
                continue
            newest = max(newest, min(payment.time, now))
            for at, length, entries in news.get(number, ()):
                place = places[at - 1]
                self._replica.take(place, entries)
                place.length = length - 1
            features = self._replica.observe(payment, newest, reading)
            self._reach(places, arrival)
            observed.append(Observed(arrival, features))
        self.newest = newest
        return observed

    def _reach(self, places: Sequence[Place], arrival: int) -> None:
        """Note what the script has done with the logs of a payment that it added."""
        for place in places:
            place.position = arrival
            place.length = length = place.length + 1
            if arrival >= place.due or length == 1:
                place.due = arrival + place.log.spare_us
            if length > MIN_LOG_ENTRIES:
                self._trimming.shorten(place)


def _by_payment(told: Sequence[Any]) -> dict[int, list[_Told]]:
    """What is told of logs, by the number of the payment."""
    news: dict[int, list[_Told]] = {}
    words = iter(told)
    for number, at, length, entries in zip(words, words, words, words, strict=True):
        news.setdefault(number, []).append((at, length, entries))
    return news
