"""Figures that several rooms share, and those of the process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import Metric, ProcessCollector

from shroff.telemetry.family import CounterFamily, Family, Figure, GaugeFamily, Merge

FAILURES: Final = CounterFamily(
    name="shroff_failures", about="What went wrong inside, by kind.", labels=("kind",)
)
"""Each room gives the kinds that happen in it."""

_MINIMUM_METRICS: Final = frozenset({"process_start_time_seconds", "process_max_fds"})
"""Of several processes, the earliest start and the lowest limit hold for all."""
_PROCESS: Final = ProcessCollector(registry=None)


def process() -> Iterator[Figure]:
    """The usual figures of a process: memory, processor time, open files."""
    return (Figure(_family(metric), metric) for metric in _PROCESS.collect())


def _family(metric: Metric) -> Family:
    kind = CounterFamily if metric.type == "counter" else GaugeFamily
    merge: Merge = "min" if metric.name in _MINIMUM_METRICS else "sum"
    return kind(name=metric.name, about=metric.documentation, merge=merge)
