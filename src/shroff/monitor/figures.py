"""The figures of monitoring, for a file that Prometheus' textfile collector reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from shroff.clock import system_time
from shroff.monitor.finding import SEVERITIES
from shroff.monitor.scheme_watch import SchemeGauge
from shroff.monitor.verdict import ModelVerdict
from shroff.telemetry.family import Figure, GaugeFamily

LOOKED: Final = GaugeFamily(
    name="shroff_monitor_look_time_seconds",
    about="When monitoring looked last, in seconds since the epoch.",
)
HOLDS: Final = GaugeFamily(
    name="shroff_monitor_holds", about="Whether the last verdict had no alarm: 1 or 0."
)
FINDINGS: Final = GaugeFamily(
    name="shroff_monitor_findings",
    about="Findings of the last look, by kind and severity.",
    labels=("kind", "severity"),
)
STABILITY: Final = GaugeFamily(
    name="shroff_monitor_stability_index",
    about="Population stability index of a column in its last whole week.",
    labels=("column",),
)
DRIFT: Final = GaugeFamily(
    name="shroff_monitor_drift",
    about="The least difference that a column's last alarm allows, in Cohen's h; 0 without one.",
    labels=("column",),
)
PRECISION: Final = GaugeFamily(
    name="shroff_monitor_precision",
    about="Precision of the last month with labels: the ends of its 95 % interval.",
    labels=("bound",),
)
RECALL: Final = GaugeFamily(
    name="shroff_monitor_recall",
    about="Recall of the last month with labels: its bounds for payments of unknown truth.",
    labels=("bound",),
)
SAVED: Final = GaugeFamily(
    name="shroff_monitor_saved",
    about="Money saved in the last month with labels, against approving everything.",
    labels=("bound",),
)
SCHEME_RATE: Final = GaugeFamily(
    name="shroff_scheme_rate", about="PSD2 fraud rate or VAMP ratio now.", labels=("scheme",)
)
SCHEME_LIMIT: Final = GaugeFamily(
    name="shroff_scheme_limit",
    about="The limit that the rate would reach next; absent above all limits.",
    labels=("scheme",),
)
SCHEME_CROSSING: Final = GaugeFamily(
    name="shroff_scheme_crossing_time_seconds",
    about="When the limit would be reached, in seconds since the epoch; +Inf: not in 90 days.",
    labels=("scheme", "bound"),
)
_ENDS: Final = ("low", "high")


def figures(verdict: ModelVerdict, gauges: Sequence[SchemeGauge] = ()) -> Iterator[Figure]:
    """The figures of one look."""
    yield LOOKED.single(system_time() // 1_000_000)
    yield HOLDS.single(float(verdict.holds))
    kinds = sorted({one.kind for one in verdict.findings})
    counted = Counter((one.kind, one.severity) for one in verdict.findings)
    yield FINDINGS.of(
        {(kind, severity): counted[kind, severity] for kind in kinds for severity in SEVERITIES}
    )
    columns = verdict.drift.all
    yield STABILITY.of(
        {(one.column,): one.stability_index for one in columns if one.stability_index is not None}
    )
    yield DRIFT.of({(one.column,): one.last.drift if one.last else 0.0 for one in columns})
    yield from _performance(verdict)
    yield from _schemes(gauges)


def _performance(verdict: ModelVerdict) -> Iterator[Figure]:
    months = [one for one in verdict.months if one.mature]
    if months:
        last = months[-1]
        found = {
            PRECISION: last.precision_interval,
            RECALL: last.recall,
            SAVED: last.saved_interval,
        }
        for family, both in found.items():
            if both is not None:
                yield family.of(dict(zip([(end,) for end in _ENDS], both, strict=True)))


def _schemes(gauges: Sequence[SchemeGauge]) -> Iterator[Figure]:
    if not gauges:
        return
    yield SCHEME_RATE.of({(one.scheme,): one.rate for one in gauges if one.rate is not None})
    yield SCHEME_LIMIT.of({(one.scheme,): one.limit for one in gauges if one.limit is not None})
    yield SCHEME_CROSSING.of(
        {
            (one.scheme, bound): one.crossing.seconds(bound)
            for one in gauges
            if one.crossing is not None
            for bound in ("earliest", "likely", "latest")
        }
    )
