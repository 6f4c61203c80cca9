"""What a process makes of payments that a script has added to their logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from shroff.collect import Payment
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
        observe, shorten = self._replica.timelines.observe, self._trimming.shorten
        observed: list[Observed] = []
        for number, (payment, places) in enumerate(placed, start=1):
            if number in there:
                arrived, logs = there[number], news.get(number, ())
                observed.append(self._again(payment, places, arrived, logs, newest, ahead))
                continue
            self.seen = arrival = first + number - 1
            if payment.time > newest:
                newest = max(newest, min(payment.time, now))
            if news:
                self._follow(places, news.get(number, ()))
            fetch = None if ahead is None else ReadingAhead(ahead, set(places), arrival).fetch
            observed.append(Observed(arrival, observe(payment, newest, fetch)))
            for place in places:
                place.position = arrival
                place.length = length = place.length + 1
                if length > MIN_LOG_ENTRIES:
                    shorten(place)
        self.newest = newest
        return observed

    def _again(
        self,
        payment: Payment,
        places: Sequence[Place],
        arrived: int,
        told: Sequence[_Told],
        newest: int,
        ahead: Ahead | None,
    ) -> Observed:
        """What became of a payment that was not added: it is late, or there already."""
        if arrived == _LATE:
            return Observed(arrived, None)
        self.seen = max(self.seen, arrived)
        # links of one that is there again are as of now where they cannot be as of then
        reading = None if ahead is None else ReadingAhead(ahead, set(places), self.seen)
        logs = [entries for _, _, entries in told]
        then = self._replica.as_of(payment, places, logs, arrived, newest, reading)
        return Observed(arrived, then, again=True)

    def _follow(self, places: Sequence[Place], told: Sequence[_Told]) -> None:
        """Apply to the replica what others have written to the logs of a payment before it."""
        for at, length, entries in told:
            place = places[at - 1]
            self._replica.take(place, entries)
            place.length = length - 1


def _by_payment(told: Sequence[Any]) -> dict[int, list[_Told]]:
    """What is told of logs, by the number of the payment."""
    news: dict[int, list[_Told]] = {}
    words = iter(told)
    for number, at, length, entries in zip(words, words, words, words, strict=True):
        news.setdefault(number, []).append((at, length, entries))
    return news
