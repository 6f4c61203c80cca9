"""Generates the function that packs payments for the script which adds them to their logs.

It names what a process knows of these logs: in `scripts.OBSERVE`, all numbers are big-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from struct import Struct
from typing import Final

from shroff.collect import Payment
from shroff.features.engines.online.layout import Code, value_of, values_in
from shroff.features.engines.online.redis.log import PACKING, Event, Log
from shroff.features.engines.online.redis.replica import Place, Replica
from shroff.features.plan import Plan
from shroff.generated import define, function

Placed = tuple[Payment, Sequence[Place]]
"""A payment with the logs of its keys."""
Send = Callable[[Sequence[Payment], bytes, list[bytes], list[bytes]], list[Placed]]
"""Payments with their logs, given what names of markers begin with; adds to the keys of a call
theirs, and what is sent of them to what is sent.
"""

_PAYMENT: Final = Struct(">dBI")
"""Time, how many logs, and the size of what the marker keeps, which follows."""
_ENTRY: Final = Struct(">BdidI")
"""A log's number, position, length and when it is due, and the size of the entry, which follows."""


def sender(plan: Plan, logs: Sequence[Log], marked: Event | None, replica: Replica) -> Send:
    """The function for these logs.

    Args:
        marked: what a marker keeps of a payment; None: nothing.
    """
    lines = [line for log in logs for line in _log(log, plan)]
    event = "NOTHING" if marked is None else f"pack({marked.code})"
    values = values_in("\n".join([event, *lines]), plan)
    each = [
        "values, time = payment.values, payment.time",
        *values,
        # `resp`, inlined
        "name = prefix + payment.id.encode()",
        'keys.append(b"$%d\\r\\n%b\\r\\n" % (len(name), name))',
        f"event = {event}",
        "at, size, places = len(sent), len(event), []",
        "sent += (event, event)",
        *lines,
        "sent[at] = header(time, len(places), size)",
        "placed.append((payment, places))",
    ]
    body = ["placed = []", "for payment in payments:", *[f" {line}" for line in each]]
    source = function("send(payments, prefix, keys, sent)", [*body, "return placed"])
    names = PACKING | {"NOTHING": b"", "header": _PAYMENT.pack, "entry": _ENTRY.pack}
    for log in logs:
        known = replica.places[log]
        names |= {
            f"get{log.number}": known.get,
            f"touch{log.number}": known.move_to_end,
            f"begin{log.number}": partial(replica.begin, log),
        }
    send: Send = define(source, names)
    return send


def _log(log: Log, plan: Plan) -> Iterator[Code]:
    """The lines for the log of an entity's key."""
    keys = [value_of(column, plan.schema) for column in log.columns]
    key, number = keys[0] if len(keys) == 1 else f"({', '.join(keys)})", log.number
    yield f"if {' and '.join(f'{key} is not None' for key in keys)}:"
    yield f" key = {key}"
    # `Replica.place`, inlined: a payment has several
    yield f" place = get{number}(key)"
    yield f" if place is None: place = begin{number}(key)"
    yield f" else: touch{number}(key)"
    yield f" event = pack({log.event.code})"
    yield " places.append(place)"
    yield " keys.append(place.sent)"
    known = "place.position, place.length, place.due"
    yield f" sent += (entry({number}, {known}, len(event)), event)"
