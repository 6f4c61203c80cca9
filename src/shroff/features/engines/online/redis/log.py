"""One entity's logs: the events of each key in bytes, and how a replica applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import msgspec

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.codegen import Kept, compile_kept, kept_source
from shroff.features.engines.online.hex_texts import halved, whole
from shroff.features.engines.online.layout import Code, value_of, values_in
from shroff.features.engines.online.plan_timelines import PlanTimelines, columns_read, pack, unpack
from shroff.features.engines.online.stream_timelines import Key, StreamTimelines, together
from shroff.features.plan import Plan
from shroff.features.streams import Later, Stream
from shroff.generated import define, function

ARRIVAL_BYTES: Final = 8
"""Bytes of the arrival that every entry begins with."""

_CLOCK_SKEW_MS: Final = 300_000
"""Milliseconds that keys are kept longer than windows reach, for clocks that differ."""
_RENEWALS: Final = 16
"""How often a log is renewed in the time for which it is needed."""

PAYMENT: Final = b"p"
UNDONE: Final = b"u"
CHANGED: Final = b"c"
"""Another label stands than before."""
SNAPSHOT: Final = b"s"
TAGS: Final[dict[Later, bytes]] = {"result": b"r", "label": b"l"}
_LATER: Final[dict[bytes, Later]] = {tag: kind for kind, tag in TAGS.items()} | {CHANGED: "label"}

pack_value: Final = msgspec.msgpack.Encoder().encode
unpack_value: Final = msgspec.msgpack.Decoder().decode


PACKING: Final[dict[str, object]] = {"pack": pack_value, "halved": halved, "whole": whole}
"""What code that packs payments, or reads what was packed, can name."""


class Event:
    """What some streams need of a payment: time, units if summed, and values, as MessagePack.

    Args:
        known: columns that need not be kept, such as the key.
        identified: whether the payment's id is kept too.

    Attributes:
        columns: those of the values.
        code: these values, as code that the names of `layout` and `PACKING` serve.
        reading: the lines of code that give these names what was `kept`.
        pack: packs a payment.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        known: Iterable[str],
        plan: Plan,
        *,
        identified: bool = False,
    ) -> None:
        schema = plan.schema
        self._identified = identified
        self._amount = any(schema.amount in stream.reads for stream in streams)
        self.columns = tuple(sorted(columns_read(streams, schema).difference(known)))
        amount, identity = ["amount"] * self._amount, ["name"] * identified
        values = [value_of(name, schema) for name in self.columns]
        tokens = {
            value_of(name, schema) for name in self.columns if schema.scales[name] == "personal"
        }
        sent = [f"halved({value})" if value in tokens else value for value in values]
        self.code: Code = f"[{', '.join(['time', *amount, *sent, *identity])}]"
        self.reading = [f"[{', '.join(['time', *amount, *values, *identity])}] = kept"]
        self.reading += [] if self._amount else ["amount = 0"]
        self.reading += [f"{token} = whole({token})" for token in sorted(tokens)]
        lines = ["values, time = payment.values, payment.time", *values_in(self.code, plan)]
        self.pack: Callable[[Payment], bytes] = define(
            function("packed(payment)", [*lines, f"return pack({self.code})"]), dict(PACKING)
        )

    def payment(self, held: Sequence[Value | bytes]) -> Payment:
        """The payment, as far as it was kept, from its unpacked fields."""
        time, units, *values = held if self._amount else (held[0], 0, *held[1:])
        identifier = str(values.pop()) if self._identified else ""
        told = {name: whole(value) for name, value in zip(self.columns, values, strict=True)}
        return Payment(identifier, cast(int, time), 0, 0, cast(int, units), told)


def _known(result: Value, label: Value) -> dict[Later, Value]:
    said: dict[Later, Value] = {"result": result, "label": label}
    return {kind: value for kind, value in said.items() if value is not None}


class Log:
    """The logs of one entity.

    Args:
        number: distinguishes its keys from those of other entities.
        streams: those of this entity, by the place of their timelines in a replica.
        lateness: how late a payment may be, microseconds.

    Attributes:
        kept_ms: for how long a log is renewed, milliseconds.
        renewed_us: in each such span of arrivals the first entry of a log renews it, microseconds.
    """

    def __init__(
        self, number: int, streams: dict[int, list[Stream]], plan: Plan, lateness: int
    ) -> None:
        each = [stream for shared in streams.values() for stream in shared]
        self.columns = each[0].columns
        self.horizon = max(stream.horizon for stream in each)
        needed = kept_ms(self.horizon + lateness)
        self.kept_ms = needed + needed // _RENEWALS
        self.renewed_us = max(1, needed * 1_000 // _RENEWALS)
        self.later = frozenset[Later]().union(*(stream.later for stream in each))
        self.event = Event(each, self.columns, plan)
        awaiting = [stream for stream in each if stream.later]
        revised = any(stream.revised for stream in awaiting)
        self.told = Event(awaiting, self.columns, plan, identified=revised)
        self.number = number
        self._prefix = b"%d:" % number
        self._places = tuple(streams)

    def key(self, payment: Payment) -> Key:
        """The key of a payment; None if it has none."""
        values = tuple([payment.values.get(name) for name in self.columns])
        if len(values) == 1:
            return values[0]
        return None if None in values else values

    def name(self, key: Key) -> bytes:
        """The name of a key's log, after the prefix of the state's keys."""
        return self._prefix + (key.encode() if isinstance(key, str) else pack_value(key))

    def timelines(self, replica: PlanTimelines) -> list[StreamTimelines]:
        """The entity's timelines in a replica."""
        return [replica.by_stream[place] for place in self._places]

    def adder(self, replica: PlanTimelines) -> Kept:
        """The function that adds to a replica what `event` keeps of a payment."""
        plan, by_stream = replica.plan, replica.by_stream
        source = kept_source(self.columns, self.event.columns, self.event.reading, plan, by_stream)
        return compile_kept(source, plan, by_stream, dict(PACKING))

    def apply(self, replica: PlanTimelines, key: Key, kind: bytes, held: Any) -> None:
        """Apply an entry of a key's log, of another kind than `PAYMENT`, to a replica."""
        by_stream = self.timelines(replica)
        if kind == SNAPSHOT:
            unpack(by_stream, key, held)
        elif kind in _LATER:
            result, label, event, *replaced = held
            news = _LATER[kind]
            known = _known(result, label)
            before = (
                _known(result, *replaced)
                if replaced
                else {said: known[said] for said in known if said != news}
            )
            awaiting = [timelines for timelines in by_stream if timelines.later]
            replica.learn(
                self._payment(key, self.told, event), news, known, awaiting, before=before
            )
        else:
            if kind != UNDONE:
                raise ValueError("expected an entry of a log, got one of no kind.")
            payment = self._payment(key, self.event, held)
            for timelines in by_stream:
                if not timelines.later:
                    timelines.remove(payment, payment.values, replica.watermark)

    def snapshot(self, replica: PlanTimelines, key: Key, upto: int) -> bytes:
        """The entry that replaces all entries up to an arrival, from a replica's timelines."""
        lines = pack(self.timelines(replica), key, replica.watermark)
        return upto.to_bytes(ARRIVAL_BYTES) + SNAPSHOT + pack_value(lines)

    def drop(self, replica: PlanTimelines, key: Key) -> None:
        """Let a replica forget a key."""
        for timelines in self.timelines(replica):
            timelines.by_key.pop(key, None)

    def _payment(self, key: Key, event: Event, held: Sequence[Value]) -> Payment:
        payment = event.payment(held)
        payment.values |= zip(self.columns, key if isinstance(key, tuple) else (key,), strict=True)
        return payment


def kept_ms(reach: int) -> int:
    """For how long a key is needed that windows reach for so long, milliseconds."""
    return reach // 1_000 + _CLOCK_SKEW_MS


def logs(plan: Plan, lateness: int) -> list[Log]:
    """One kind of log for each entity of a plan."""
    entities: dict[tuple[str, ...], dict[int, list[Stream]]] = {}
    for place, streams in enumerate(together(plan.streams)):
        entities.setdefault(streams[0].columns, {})[place] = streams
    return [
        Log(number, streams, plan, lateness) for number, streams in enumerate(entities.values())
    ]
