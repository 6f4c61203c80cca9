"""One entity's logs: the events of each key in bytes, and how a replica applies them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

import msgspec

from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.features.engines.online.plan_timelines import PlanTimelines, columns_read, pack, unpack
from shroff.features.engines.online.stream_timelines import Key, StreamTimelines, together
from shroff.features.plan import Plan
from shroff.features.streams import Later, Stream

ARRIVAL_BYTES: Final = 8
"""Bytes of the arrival that every entry begins with."""

PAYMENT: Final = b"p"
UNDONE: Final = b"u"
CHANGED: Final = b"c"
"""Another label stands than before."""
SNAPSHOT: Final = b"s"
_COUNTED: Final = (PAYMENT, UNDONE)
TAGS: Final[dict[Later, bytes]] = {"result": b"r", "label": b"l"}
_LATER: Final[dict[bytes, Later]] = {tag: kind for kind, tag in TAGS.items()} | {CHANGED: "label"}

pack_value: Final = msgspec.msgpack.Encoder().encode
unpack_value: Final = msgspec.msgpack.Decoder().decode


class Event:
    """What some streams need of a payment: time, units if summed, and values, as MessagePack.

    Args:
        known: columns that need not be kept, such as the key.
        identified: whether the payment's id is kept too.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        known: Iterable[str],
        schema: Schema,
        *,
        identified: bool = False,
    ) -> None:
        self._identified = identified
        self._amount = any(schema.amount in stream.reads for stream in streams)
        self._columns = tuple(sorted(columns_read(streams, schema).difference(known)))
        self._tokens = [
            place for place, name in enumerate(self._columns) if schema.scales[name] == "personal"
        ]

    def pack(self, payment: Payment) -> bytes:
        """A payment in bytes."""
        values: list[Value | bytes] = list(map(payment.values.get, self._columns))
        for place in self._tokens:
            values[place] = _halved(values[place])
        if self._identified:
            values.append(payment.id)
        return pack_value(
            [payment.time, payment.units, *values] if self._amount else [payment.time, *values]
        )

    def payment(self, held: Sequence[Value | bytes]) -> Payment:
        """The payment, as far as it was kept, from its unpacked fields."""
        time, units, *values = held if self._amount else (held[0], 0, *held[1:])
        identifier = str(values.pop()) if self._identified else ""
        told = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in zip(self._columns, values, strict=True)
        }
        return Payment(identifier, cast(int, time), 0, 0, cast(int, units), told)


def _known(result: Value, label: Value) -> dict[Later, Value]:
    said: dict[Later, Value] = {"result": result, "label": label}
    return {kind: value for kind, value in said.items() if value is not None}


def _halved(token: Value | bytes) -> Value | bytes:
    """A hexadecimal token as bytes, half as long; anything else unchanged."""
    try:
        digits = bytes.fromhex(str(token))
    except ValueError:
        return token
    return digits if digits.hex() == token else token


class Log:
    """The logs of one entity.

    Args:
        number: distinguishes its keys from those of other entities.
        streams: those of this entity, by the place of their timelines in a replica.
    """

    def __init__(self, number: int, streams: dict[int, list[Stream]], schema: Schema) -> None:
        each = [stream for shared in streams.values() for stream in shared]
        self.columns = each[0].columns
        self.horizon = max(stream.horizon for stream in each)
        self.later = frozenset[Later]().union(*(stream.later for stream in each))
        self.event = Event(each, self.columns, schema)
        awaiting = [stream for stream in each if stream.later]
        revised = any(stream.revised for stream in awaiting)
        self.told = Event(awaiting, self.columns, schema, identified=revised)
        self._number = b"%d:" % number
        self._places = tuple(streams)

    def key(self, payment: Payment) -> Key:
        """The key of a payment; None if it has none."""
        values = tuple([payment.values.get(name) for name in self.columns])
        if len(values) == 1:
            return values[0]
        return None if None in values else values

    def name(self, key: Key) -> bytes:
        """The name of a key's log, after the prefix of the state's keys."""
        return self._number + (key.encode() if isinstance(key, str) else pack_value(key))

    def timelines(self, replica: PlanTimelines) -> list[StreamTimelines]:
        """The entity's timelines in a replica."""
        return [replica.by_stream[place] for place in self._places]

    def apply(self, replica: PlanTimelines, key: Key, entry: bytes) -> None:
        """Apply an entry of a key's log to a replica."""
        kind, held = (
            entry[ARRIVAL_BYTES : ARRIVAL_BYTES + 1],
            unpack_value(entry[ARRIVAL_BYTES + 1 :]),
        )
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
            if kind not in _COUNTED:
                raise ValueError("expected an entry of a log, got one of no kind.")
            payment = self._payment(key, self.event, held)
            for timelines in by_stream:
                if timelines.later:
                    continue
                if kind == PAYMENT:
                    timelines.add(payment, payment.values, replica.watermark)
                else:
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


def logs(plan: Plan) -> list[Log]:
    """One kind of log for each entity of a plan."""
    entities: dict[tuple[str, ...], dict[int, list[Stream]]] = {}
    for place, streams in enumerate(together(plan.streams)):
        entities.setdefault(streams[0].columns, {})[place] = streams
    return [Log(number, streams, plan.schema) for number, streams in enumerate(entities.values())]
