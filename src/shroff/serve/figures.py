"""The figures of HTTP: requests by route and outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from shroff.serve.watch import outcome
from shroff.telemetry.family import CounterFamily, Figure
from shroff.telemetry.meter import Meter

REQUESTS: Final = CounterFamily(
    name="shroff_requests",
    about="Requests by route and outcome: `ok`, the kind of a problem, or `gone` when the client "
    "left first.",
    labels=("route", "outcome"),
)


def figures(meter: Meter) -> Iterator[Figure]:
    """The counts of requests now."""
    counts = Counter[tuple[str, ...]]()
    for (route, status), number in meter.requests.items():
        counts[route, outcome(status)] += number
    yield REQUESTS.of(counts)
