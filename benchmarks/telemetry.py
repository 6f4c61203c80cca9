"""What counting costs a payment: the calls that its path makes for telemetry, and nothing else.

    python benchmarks/telemetry.py

A payment of a turn of sixteen; the least of several runs, in microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from shroff.serve.watch import Telemetry
from shroff.telemetry.meter import Decided, Journey, Meter, Turn
from shroff.telemetry.tracing import CURRENT

PAYMENTS = 50_000
TOGETHER = 16
RUNS = 7
HEADERS = [
    (name, b"x" * 20)
    for name in (
        b"host",
        b"accept",
        b"user-agent",
        b"authorization",
        b"content-type",
        b"content-length",
    )
]


def turn_of_payments(telemetry: Telemetry) -> None:
    """All that is noticed of some payments that are decided together."""
    meter = telemetry.meter
    journeys = []
    for _ in range(TOGETHER):
        telemetry.tracer.begin("POST", HEADERS)
        journey = Journey(CURRENT.get())
        meter.parsed(journey)
        journeys.append(journey)
    now = time.perf_counter_ns()
    turn = Turn(
        now, time.perf_counter_ns(), time.perf_counter_ns(), time.perf_counter_ns(), TOGETHER
    )
    for journey in journeys:
        journey.decided = Decided("v1", "approve", False)
        journey.probability = 0.01
        journey.turn = turn
    meter.took(turn)
    for journey in journeys:
        meter.settled(journey)
        telemetry.answered("/v1/decisions", 200, None)


def least(work: Callable[[], None]) -> float:
    """Microseconds a payment, the least of several runs."""
    found = []
    for _ in range(RUNS):
        begun = time.process_time()
        for _ in range(PAYMENTS // TOGETHER):
            work()
        found.append((time.process_time() - begun) / (PAYMENTS // TOGETHER * TOGETHER) * 1e6)
    return min(found)


def main() -> None:
    """Print the table."""
    telemetry = Telemetry(Meter())
    print("| for a payment | µs |")
    print("|---|---:|")
    print(f"| look at the headers | {least(lambda: _look(telemetry)):.2f} |")
    print(f"| all of it | {least(lambda: turn_of_payments(telemetry)):.2f} |")


def _look(telemetry: Telemetry) -> None:
    for _ in range(TOGETHER):
        telemetry.tracer.begin("POST", HEADERS)


if __name__ == "__main__":
    main()
