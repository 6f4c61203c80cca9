"""Generates the function that packs payments for the script which adds them to their logs.

It sends what a process knows of these logs: `scripts.OBSERVE` lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from shroff.collect import Payment
from shroff.features.engines.online.layout import Code, value_of, values_in
from shroff.features.engines.online.redis.log import PACKING, Event, Log
from shroff.features.engines.online.redis.replica import Place, Replica
from shroff.features.plan import Plan
from shroff.generated import define, function

Placed = tuple[Payment, Sequence[Place]]
"""A payment with the logs of its keys."""
Send = Callable[[Sequence[Payment], bytes, list[bytes], list[int], list[bytes]], list[Placed]]
"""Payments with their logs, given what names of markers begin with; adds what a call sends of them:
keys, numbers, and what markers and logs keep.
"""


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
        "events.append(event)",
        "numbers += time, len(event)",
        "places = []",
        *lines,
        "placed.append((payment, places))",
    ]
    body = ["placed = []", "for payment in payments:", *[f" {line}" for line in each]]
    source = function("send(payments, prefix, keys, numbers, events)", [*body, "return placed"])
    names = PACKING | {"NOTHING": b"", "NO_KEY": False}
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
    yield " places.append(place)"
    yield " keys.append(place.sent)"
    yield f" event = pack({log.event.code})"
    yield " events.append(event)"
    yield " numbers += len(event), place.position, place.length"
    yield "else: numbers.append(NO_KEY)"
