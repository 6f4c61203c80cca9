"""The timelines of streams by key, and how events extend them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.columns import Cell, Packed
from shroff.features.engines.online.layout import Layout, compile_event, compile_timeline, grain_of
from shroff.features.engines.online.readers import reads
from shroff.features.engines.online.shared_names import NAMES
from shroff.features.engines.online.timeline import Timeline
from shroff.features.plan import Plan
from shroff.features.streams import Stream

Key = Value | tuple[Value, ...]


def together(streams: Sequence[Stream]) -> list[list[Stream]]:
    """Which streams share their timelines.

    A stream whose timelines keep unmerged events serves others of the same events that look no
    further back: their steps of time only decide where a window begins.
    """
    shared: list[list[Stream]] = []
    for stream in sorted(streams, key=lambda stream: (grain_of([stream]) > 0, -stream.horizon)):
        for others in shared:
            reaches = (
                not grain_of(others) and stream.horizon - stream.resolution <= others[0].horizon
            )
            if reaches and _events(stream) == _events(others[0]):
                others.append(stream)
                break
        else:
            shared.append([stream])
    return shared


def _events(stream: Stream) -> tuple[tuple[str, ...], str | None]:
    return stream.columns, stream.where.sql if stream.where else None


class StreamTimelines:
    """The timelines of streams that count the same events, keys idle longest first.

    Attributes:
        columns: the key columns.
        later: the events that must arrive, besides the payment, before it counts.
        horizon: how far back any window reaches, microseconds.
        condition: what payments must meet to count; `where` is the same as a function.
        layout: the time of an event and what it adds to the columns, as code.
        reads: how each measure of each window is read, as code.
        unseen: the timeline of a key without events.
    """

    def __init__(self, streams: Sequence[Stream], plan: Plan, lateness: int) -> None:
        self.columns = streams[0].columns
        self.later = streams[0].later
        self.horizon = max(stream.horizon for stream in streams)
        self._reach = self.horizon + lateness
        self.by_key: OrderedDict[Key, Timeline] = OrderedDict()
        self.condition = streams[0].where
        self.where = None if self.condition is None else self.condition.closure()
        self.layout = layout = Layout(streams, plan)
        # reading decides which columns there are, so it comes before timelines are made
        self.reads = reads(layout, streams)
        self._joins = layout.grain > 0
        self._empty = compile_timeline(layout)
        self.unseen = self._empty()
        self._event = compile_event(layout)

    def timeline(self, packed: Sequence[Packed]) -> Timeline:
        """A timeline from its packed form."""
        line = self._empty()
        line.unpack(packed)
        return line

    def extend(self, key: Key, time: int, cells: Sequence[Cell], watermark: int) -> None:
        """Add an event to a key's timeline, and forget events that no window reaches.

        No window reaches further back from `watermark` than the horizon.
        """
        limit = watermark - self.horizon
        if time <= limit:
            return
        line = self.by_key.get(key)
        if line is None:
            line = self.begin(key, limit)
        else:
            self.by_key.move_to_end(key)
            line.forget(limit)
        line.add(time, cells, joins=self._joins)

    def place(self, key: Key, times: Sequence[int], cells: Sequence[Sequence[Cell]]) -> None:
        """Add a new key's events, in order of time, given by column."""
        line = self.by_key[shared_key(key)] = self._empty()
        line.fill(times, cells, joins=self._joins)

    def begin(self, key: Key, limit: int) -> Timeline:
        """A new timeline for a key that gets its first event; removes up to two idle timelines."""
        by_key = self.by_key
        # each event adds at most one key, so removing up to two per event keeps up
        for _ in range(2):
            idle = next(iter(by_key), None)
            if idle is None:
                break
            last = by_key[idle].times[-1]
            if last <= limit:
                del by_key[idle]
            elif last <= limit + self._reach:
                break
            else:
                # its last event lies in the future: move it, or no idle key behind it would be
                # removed
                by_key.move_to_end(idle)
        NAMES.sweep()
        line = by_key[shared_key(key)] = self._empty()
        return line

    def add(self, payment: Payment, values: Mapping[str, Value], watermark: int) -> None:
        """Add a payment if it meets the condition; `values` are its own and its later events'."""
        key = self._key(values)
        if key is not None:
            self.extend(key, *self._event(payment, values, payment.time), watermark)

    def remove(self, payment: Payment, values: Mapping[str, Value], watermark: int) -> None:
        """Undo `add`, unless no window reaches the payment: it may never have been added."""
        key = self._key(values)
        line = self.by_key.get(key)
        time, cells = self._event(payment, values, payment.time)
        if line is None or time <= watermark - self.horizon:
            return
        line.remove(time, cells, joins=self._joins)
        if not line.times:
            del self.by_key[key]

    def _key(self, values: Mapping[str, Value]) -> Key:
        """The key of an event; None if a key column is null or the condition is not met."""
        if self.where is not None and self.where(values) is not True:
            return None
        return self.key(values)

    def key(self, values: Mapping[str, Value]) -> Key:
        """The key of a payment, whether it is an event or not; None if a key column is null."""
        if len(self.columns) == 1:
            return values.get(self.columns[0])
        key = tuple([values.get(name) for name in self.columns])
        return None if None in key else key


def shared_key(key: Key) -> Key:
    """A key made of names that all timelines share."""
    return tuple(NAMES.all(key)) if isinstance(key, tuple) else NAMES.once(key)
