"""Telemetry: metrics for Prometheus, traces for OpenTelemetry, logs for people and machines.

Reads plain numbers that each room keeps; a room declares its metrics in its own `figures.py`
(`family.py` has the kinds), and `Registry` collects them when Prometheus scrapes. Times are
nanoseconds inside and seconds in metrics.

Promises that none of them holds a payload or a token, and that a payment costs only a few additions
(`Meter`).
"""

from shroff.telemetry.family import (
    CounterFamily,
    Family,
    Figure,
    GaugeFamily,
    HistogramFamily,
    InfoFamily,
    Source,
)
from shroff.telemetry.histogram import Histogram
from shroff.telemetry.meter import Meter
from shroff.telemetry.registry import Registry

__all__ = [
    "CounterFamily",
    "Family",
    "Figure",
    "GaugeFamily",
    "Histogram",
    "HistogramFamily",
    "InfoFamily",
    "Meter",
    "Registry",
    "Source",
]
