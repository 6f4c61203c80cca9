"""A family of figures as a room declares it: name, meaning, labels, and how to merge workers.

A room declares its families in its `figures.py`, beside the functions that give their values. What
Prometheus scrapes, how workers are merged and docs/reference/metrics.md all follow from the
declaration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from shroff.telemetry.histogram import Histogram

Labels = tuple[str, ...]
L = TypeVar("L", bound=Labels)
Merge = Literal["sum", "max", "min"]
"""How to merge several workers: `max` where each knows all, `min` where one speaks for all."""


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """What is counted or measured under one name.

    Args:
        name: as Prometheus knows it, without the ending of its kind.
        about: its meaning, one sentence.
        labels: the names of its labels.
        merge: how to merge several workers.
        weight: the counter that weighs each worker's value, to merge by the mean.
        inherited: whether a worker continues the count of the one it replaces; sums only.
    """

    name: str
    about: str
    labels: Labels = ()
    merge: Merge = "sum"
    weight: CounterFamily | None = None
    inherited: bool = True

    @property
    @abstractmethod
    def kind(self) -> str:
        """What Prometheus calls its type."""

    @property
    @abstractmethod
    def exposed(self) -> str:
        """The name to ask Prometheus for."""


class Figure(NamedTuple):
    """A family and where its values stand."""

    family: Family
    metric: Metric


Source = Callable[[], Iterable[Figure]]
"""Gives the figures of a room now."""


class CounterFamily(Family):
    """What only grows."""

    @property
    def kind(self) -> str:
        return "counter"

    @property
    def exposed(self) -> str:
        return f"{self.name}_total"

    def of(self, values: Mapping[L, float]) -> Figure:
        """The counts by the values of the labels."""
        metric = CounterMetricFamily(self.name, self.about, labels=self.labels)
        for labels, value in values.items():
            metric.add_metric(labels, value)
        return Figure(self, metric)

    def single(self, value: float) -> Figure:
        """The count of a family without labels."""
        return self.of({(): value})


class GaugeFamily(Family):
    """What is so now."""

    @property
    def kind(self) -> str:
        return "gauge"

    @property
    def exposed(self) -> str:
        return self.name

    def of(self, values: Mapping[L, float]) -> Figure:
        """The values by those of the labels."""
        metric = GaugeMetricFamily(self.name, self.about, labels=self.labels)
        for labels, value in values.items():
            metric.add_metric(labels, value)
        return Figure(self, metric)

    def single(self, value: float) -> Figure:
        """The value of a family without labels."""
        return self.of({(): value})


@dataclass(frozen=True, kw_only=True)
class HistogramFamily(Family):
    """How often a measure was at or below each bound; `unit` converts it to the family's unit."""

    unit: float = 1

    @property
    def kind(self) -> str:
        return "histogram"

    @property
    def exposed(self) -> str:
        return self.name

    def of(self, values: Mapping[L, Histogram]) -> Figure:
        """The histograms by the values of the labels."""
        metric = HistogramMetricFamily(self.name, self.about, labels=self.labels)
        for labels, histogram in values.items():
            bounds = [str(round(bound * self.unit, 9)) for bound in histogram.bounds] + ["+Inf"]
            buckets = list(zip(bounds, map(float, histogram.cumulative), strict=True))
            metric.add_metric(labels, buckets, histogram.total * self.unit)
        return Figure(self, metric)

    def single(self, histogram: Histogram) -> Figure:
        """The histogram of a family without labels."""
        return self.of({(): histogram})


@dataclass(frozen=True, kw_only=True)
class InfoFamily(Family):
    """A text as a label, whose value is 1. `texts`: the names of the labels that carry texts."""

    texts: Labels

    @property
    def kind(self) -> str:
        return "gauge"

    @property
    def exposed(self) -> str:
        return f"{self.name}_info"

    def of(self, values: Mapping[L, Mapping[str, str]]) -> Figure:
        """The texts by name, by the values of the labels."""
        metric = InfoMetricFamily(self.name, self.about, labels=self.labels)
        for labels, texts in values.items():
            metric.add_metric(labels, dict(texts))
        return Figure(self, metric)
