"""Links of a payment, read from timelines: of its key, of the values it used, and of others.

A walk yields the timelines that it reads next, for an engine that must fetch them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple, cast

from shroff.collect import Payment
from shroff.features.engines.online.coded_names import CodedNames
from shroff.features.engines.online.stream_timelines import StreamTimelines
from shroff.features.engines.online.timeline import Timeline
from shroff.features.links import MAX_CARDS, MAX_VALUES
from shroff.features.streams import Input, LinkOutput
from shroff.features.window import END_OF_TIME_US, after

Name = Any
"""A key, or a value that links: whatever names are."""


class Needed(NamedTuple):
    """Keys of an entity, by its columns, whose timelines are read next."""

    columns: tuple[str, ...]
    keys: Sequence[Name]


class Walk:
    """The walk over links of one kind, and the features that are facts about whom it meets.

    Args:
        outputs: features of the same key, column that links, window and condition.
    """

    def __init__(self, outputs: Sequence[LinkOutput], by_stream: Sequence[StreamTimelines]) -> None:
        first = outputs[0]
        self._window = first.values.slot.window
        self._key, self._by = first.link.key, first.link.by
        self._values = _Seen(first.values, by_stream)
        self._cards = _Seen(first.cards, by_stream)
        self._hops = max(output.link.hops for output in outputs)
        self._names = [output.name for output in outputs]
        self._facts: dict[int, list[tuple[str, _Seen | None]]] = {}
        for output in outputs:
            fact = None if output.fact is None else _Seen(output.fact, by_stream)
            self._facts.setdefault(output.link.hops, []).append((output.name, fact))

    def of(self, payment: Payment) -> Generator[Needed, None, Mapping[str, float | None]]:
        """The features of a payment that is about to be added."""
        own = payment.values.get(self._key)
        if own is None:
            return dict.fromkeys(self._names, None)
        since = after(payment.time, *self._window[:3])
        told: dict[str, float | None] = {}
        found: dict[Name, None] = {}
        walked: set[Name] = set()
        reached: Sequence[Name] = [own]
        mine = payment.values.get(self._by)
        for hop in range(1, self._hops + 1):
            yield Needed(self._values.columns, reached)
            values = self._latest(reached, walked, mine, since)
            mine = None
            walked.update(values)
            yield Needed(self._cards.columns, values)
            met = dict.fromkeys(card for value in values for card in self._at(value, since))
            reached = [card for card in met if card not in found and card != own]
            found.update(dict.fromkeys(reached))
            facts = self._facts.get(hop, ())
            if any(fact is not None for _, fact in facts):
                yield Needed(self._values.columns, list(found))
            for name, fact in facts:
                told[name] = float(len(found) if fact is None else fact.over(found, since))
        return told

    def _latest(
        self, cards: Iterable[Name], walked: set[Name], mine: Name, since: int
    ) -> list[Name]:
        """The values that these used last and that were not walked, one's own before all others."""
        times: dict[Name, int] = {}
        for card in cards:
            for value, time in self._values.latest(card, since):
                if value not in walked and times.get(value, time) <= time:
                    times[value] = time
        if mine is not None:
            times[mine] = END_OF_TIME_US
        return nsmallest(MAX_VALUES, times, key=lambda value: (-times[value], value))

    def _at(self, value: Name, since: int) -> Iterable[Name]:
        """Those that used a value, unless it is popular."""
        if self._cards.distinct(value, since) > MAX_CARDS:
            return ()
        return (card for card, _ in self._cards.latest(value, since))


def walks(outputs: Sequence[LinkOutput], by_stream: Sequence[StreamTimelines]) -> list[Walk]:
    """The walks that these features need, one for all that differ in nothing but their facts."""
    kinds: dict[object, list[LinkOutput]] = {}
    for output in outputs:
        link = output.link
        kinds.setdefault((link.key, link.by, link.window, link.where), []).append(output)
    return [Walk(alike, by_stream) for alike in kinds.values()]


class _Seen:
    """One measure in the timelines of an entity: a column of names, or how many events there are.

    Attributes:
        columns: those that the entity's key is made of.
    """

    def __init__(self, item: Input, by_stream: Sequence[StreamTimelines]) -> None:
        timelines = next(one for one in by_stream if (item.slot, item.measure) in one.reads)
        self.columns = timelines.columns
        self._get = timelines.by_key.get
        named = item.measure.column
        self._column = None if named is None else f"c{timelines.layout.place_of('names', named)}"

    def latest(self, key: Name, since: int) -> Iterator[tuple[Name, int]]:
        """The names seen later than that, each with when it was last."""
        line = self._get(key)
        return iter(()) if line is None else self._names(line).latest(line.times, since)

    def distinct(self, key: Name, since: int) -> int:
        """How many names were seen later than that."""
        line = self._get(key)
        if line is None:
            return 0
        low, high = bisect_right(line.times, since), len(line.times)
        return self._names(line).distinct(low, high, since, END_OF_TIME_US) if low < high else 0

    def over(self, keys: Iterable[Name], since: int) -> int:
        """How many different names all of these have had since then, or how many events."""
        if self._column is not None:
            return len({name for key in keys for name, _ in self.latest(key, since)})
        lines = [line for line in map(self._get, keys) if line is not None]
        return sum(len(line.times) - bisect_right(line.times, since) for line in lines)

    def _names(self, line: Timeline) -> CodedNames:
        return cast(CodedNames, getattr(line, str(self._column)))
