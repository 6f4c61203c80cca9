"""What Prometheus would read."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from serve.service import Service


class Scrape:
    """One answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Metric] = {
            family.name: family for family in text_string_to_metric_families(text)
        }

    @classmethod
    def of(cls, service: Service, **options: str) -> Scrape:
        answer = service.request("GET", "/metrics", headers=options)
        assert answer.status_code == 200, answer.text
        return cls(answer.text)

    @property
    def names(self) -> set[str]:
        """The names of all samples; of families without any, those that they would have."""
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        return {
            family.name + end
            for family in self.families.values()
            for end in ends.get(family.type, ("",))
        } | {sample.name for family in self.families.values() for sample in family.samples}

    def value(self, name: str, /, **labels: str) -> float:
        """The sum of the samples of this name that have these labels."""
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
