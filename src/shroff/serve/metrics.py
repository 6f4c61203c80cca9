"""`GET /metrics` for Prometheus: every figure as it is when asked, from the plain numbers kept meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from shroff.control import Gate
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.interface import Call, Interface, Reply, Route
from shroff.serve.watch import outcome
from shroff.telemetry.fleet import Fleet
from shroff.telemetry.histogram import Histogram

_NANO: Final = 1e-9
_CENSUS: Final = 15.0
"""Seconds after which the events of the state are counted again for other workers."""
Labels = tuple[str, ...]


class Consumer(Protocol):
    """What tells how far messages of Kafka are done."""

    @property
    def outcomes(self) -> Mapping[str, int]:
        """What became of messages, and of how many."""

    @property
    def lag(self) -> Mapping[Any, int]:
        """How many messages are not done yet, by topic and partition (a named tuple)."""


class Metrics(Collector):
    """All figures of a service; without a gate or a follower, those of keys or publishing stay without values.

    Args:
        fleet: the workers whose figures are told together.
        consumer: what reads payments from Kafka.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        gate: Gate | None = None,
        follower: Deployments | None = None,
        fleet: Fleet | None = None,
        consumer: Consumer | None = None,
    ) -> None:
        self._scorer = scorer
        self._gate = gate
        self._follower = follower
        self._fleet = fleet
        self._consumer = consumer
        self._events = 0
        self._counted = 0.0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def exposition(self, accept: str) -> tuple[str, bytes]:
        """Media type and text, in the format that whoever asks likes best."""
        await self._count_events()
        encoder, media = choose_encoder(accept)
        return media, encoder(self._registry if self._fleet is None else _Told(self._fleet.together(self._collect())))

    async def keep(self) -> None:
        """Write down where the figures stand, for the other workers: to be called once a second."""
        if self._fleet is None:
            return
        if monotonic() - self._counted > _CENSUS:
            await self._count_events()
        self._fleet.keep(self._collect())

    def _collect(self) -> list[Metric]:
        return list(self._registry.collect())

    async def _count_events(self) -> None:
        """Count in steps: payments must not wait for all of it."""
        events = 0
        for part in self._scorer.census():
            events += part
            await asyncio.sleep(0)
        self._events, self._counted = events, monotonic()

    def collect(self) -> Iterable[Metric]:
        """What Prometheus is told."""
        yield from self._traffic()
        yield from self._ledger()
        yield from self._state()
        yield from self._models()
        yield from self._control()
        yield from self._kafka()

    def _traffic(self) -> Iterator[Metric]:
        meter = self._scorer.meter
        yield _counter(
            "shroff_requests",
            "Requests by route and outcome: `ok`, the kind of a problem, or `gone` when the client left first.",
            ("route", "outcome"),
            _sum(((route, outcome(status)), number) for (route, status), number in meter.requests.items()),
        )
        yield _counter(
            "shroff_decisions",
            "Durable decisions by model version and action; degraded ones were made without a score.",
            ("version", "action", "degraded"),
            {
                (decided.version, decided.action, str(decided.degraded).lower()): number
                for decided, number in meter.decisions.items()
            },
        )
        yield _counter(
            "shroff_repeated_payments", "Payments answered with an earlier decision.", (), {(): meter.repeated}
        )
        yield _counter(
            "shroff_labels",
            "Labels recorded, by source and what they say.",
            ("source", "fraud"),
            {(source, str(fraud).lower()): count for (source, fraud), count in meter.labels.items()},
        )
        yield _counter(
            "shroff_ambiguous_times",
            "Times without an offset in the hour that comes twice, read as the earlier.",
            (),
            {(): self._scorer.reader.twice},
        )
        yield _counter("shroff_failures", "What went wrong inside, by kind.", ("kind",), self._failures())
        yield _histogram(
            "shroff_stage_seconds",
            "Time of a payment in each stage; `whole` is all of it.",
            ("stage",),
            {(stage,): histogram for stage, histogram in meter.stages.items()},
            _NANO,
        )
        yield _histogram(
            "shroff_fraud_probability",
            "Probabilities of fraud by model version.",
            ("version",),
            {(version,): histogram for version, histogram in meter.probabilities.items()},
        )

    def _failures(self) -> dict[Labels, int]:
        meter = self._scorer.meter
        unexpected = sum(number for (_, status), number in meter.requests.items() if status == problem.INTERNAL.status)
        return {
            ("ledger",): self._scorer.commits.failed,
            ("model",): meter.failures["model"],
            ("state",): self._scorer.ruined,
            ("publish",): 0 if self._follower is None else self._follower.failed,
            ("unexpected",): unexpected + meter.failures["unexpected"],
        }

    def _ledger(self) -> Iterator[Metric]:
        commits = self._scorer.commits
        yield _gauge(
            "shroff_ledger_queue_entries", "Entries that wait for the ledger's writer.", self._scorer.figures.queued
        )
        yield _gauge(
            "shroff_spool_entries", "Entries that wait for the ledger's database.", self._scorer.figures.spooled
        )
        yield _gauge("shroff_spool_bytes", "Bytes of the spool on disk.", self._scorer.figures.spool_bytes)
        end = self._scorer.commits.end
        yield _gauge("shroff_ledger_records", "The number of the ledger's last record.", 0 if end is None else end.seq)
        yield _histogram("shroff_ledger_group_entries", "Entries that shared a commit.", (), {(): commits.entries})
        yield _histogram("shroff_ledger_commit_seconds", "Time of a commit.", (), {(): commits.seconds}, _NANO)

    def _state(self) -> Iterator[Metric]:
        scorer, figures = self._scorer, self._scorer.figures
        yield _gauge("shroff_state_keys", "Timelines in the state: one per stream and key.", figures.keys)
        yield _gauge("shroff_state_events", "Events in the timelines.", self._events)
        yield _gauge(
            "shroff_state_pending_payments", "Payments whose result or label may still count.", figures.pending
        )
        yield _gauge("shroff_in_flight_payments", "Payments on their way to the ledger.", figures.in_flight)
        yield _gauge("shroff_ready", "Whether `/health/ready` says so.", int(scorer.unready is None))

    def _models(self) -> Iterator[Metric]:
        scorer, shadow = self._scorer, self._scorer.shadow
        info = InfoMetricFamily("shroff_model", "The models in use.", labels=("role",))
        info.add_metric(("production",), {"name": scorer.bundle.name, "version": scorer.bundle.version})
        if shadow is not None:
            info.add_metric(("shadow",), {"name": shadow.bundle.name, "version": shadow.bundle.version})
        yield info
        policy = InfoMetricFamily("shroff_policy", "The policies in use, by the role of the model.", labels=("role",))
        policy.add_metric(("production",), {"version": scorer.decider.policy_version})
        if shadow is not None:
            policy.add_metric(("shadow",), {"version": shadow.decider.policy_version})
        yield policy
        found = None if shadow is None else shadow.comparison
        of = "" if found is None else found.shadow
        yield _counter(
            "shroff_shadow_payments",
            "Payments that the shadow scored too, by both actions.",
            ("version", "production_action", "shadow_action"),
            {} if found is None else {(of, *pair.split("/")): number for pair, number in found.agreement.items()},
        )
        yield _counter(
            "shroff_shadow_passed_over",
            "Payments that the shadow did not score because too many waited.",
            ("version",),
            {} if found is None else {(of,): found.passed_over},
        )
        yield _gauge(
            "shroff_shadow_probability_difference",
            "Mean absolute difference between the probabilities of shadow and production.",
            0.0 if found is None else found.mean_difference,
        )
        follower = self._follower
        yield _counter(
            "shroff_models_adopted",
            "Published models that were put into use while running.",
            (),
            {(): 0 if follower is None else follower.adopted},
        )
        yield _counter(
            "shroff_policies_adopted",
            "Published policies that were put into use while running.",
            (),
            {(): 0 if follower is None else follower.policies},
        )

    def _control(self) -> Iterator[Metric]:
        yield _counter(
            "shroff_key_refusals",
            "Requests refused for their API key, by kind; its name where the key is valid.",
            ("kind", "key"),
            {} if self._gate is None else self._gate.refused,
        )
        lists = self._scorer.lists
        yield _counter(
            "shroff_list_edits",
            "Edits of the lists that rules read, since there are lists.",
            ("list", "action"),
            {} if lists is None else lists.edited,
        )

    def _kafka(self) -> Iterator[Metric]:
        consumer = self._consumer
        yield _counter(
            "shroff_consumed_messages",
            "Messages of Kafka that are done: `decided`, `results`, `labels`, or why they were rejected.",
            ("outcome",),
            {} if consumer is None else {(outcome,): number for outcome, number in consumer.outcomes.items()},
        )
        lag = GaugeMetricFamily(
            "shroff_consumer_lag_messages", "Messages of Kafka that are not done yet.", labels=("topic", "partition")
        )
        for (topic, partition), waiting in () if consumer is None else consumer.lag.items():
            lag.add_metric((topic, str(partition)), waiting)
        yield lag


class _Told(CollectorRegistry):
    """Metrics that were collected before."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """What was collected."""
        return iter(self._metrics)


def interface(metrics: Metrics) -> Interface:
    """The route that Prometheus scrapes."""

    async def scrape(call: Call) -> Reply:
        media, text = await metrics.exposition(call.headers.get(b"accept", b"").decode("latin-1"))
        return Reply(text, media)

    route = Route(
        method="GET",
        path="/metrics",
        operation="metrics",
        summary="Figures for Prometheus",
        handler=scrape,
        scope="read",
        gives={"text/plain": (str,), "application/openmetrics-text": (str,)},
    )
    return Interface("Native", (route,), problem.Kind.problem, problem.Problem, problem.MEDIA_TYPE)


def _sum(pairs: Iterable[tuple[Labels, int]]) -> Counter[Labels]:
    found = Counter[Labels]()
    for labels, number in pairs:
        found[labels] += number
    return found


def _counter(name: str, about: str, labels: Labels, values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _histogram(
    name: str,
    about: str,
    labels: Labels,
    values: Mapping[Labels, Histogram],
    unit: float = 1,
) -> Metric:
    family = HistogramMetricFamily(name, about, labels=labels)
    for key, histogram in values.items():
        bounds = [str(round(bound * unit, 9)) for bound in histogram.bounds] + ["+Inf"]
        buckets = list(zip(bounds, map(float, histogram.cumulative), strict=True))
        family.add_metric(key, buckets, histogram.total * unit)
    return family
