"""The figures of scoring: payments, decisions, models, policies, the shadow, what was adopted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shroff.ledger import figures as ledger
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.scoring.shadow import Shadow
from shroff.state import figures as state
from shroff.state.figures import Census
from shroff.telemetry.family import CounterFamily, Figure, GaugeFamily, HistogramFamily, InfoFamily
from shroff.telemetry.figures import FAILURES

DECISIONS: Final = CounterFamily(
    name="shroff_decisions",
    about="Durable decisions by model version and action; degraded ones were made without a score.",
    labels=("version", "action", "degraded"),
)
REPEATED: Final = CounterFamily(
    name="shroff_repeated_payments", about="Payments answered with an earlier decision."
)
LABELS: Final = CounterFamily(
    name="shroff_labels",
    about="Labels recorded, by source and what they say.",
    labels=("source", "fraud"),
)
AMBIGUOUS_TIMES: Final = CounterFamily(
    name="shroff_ambiguous_times",
    about="Times without an offset in the hour that comes twice, read as the earlier.",
)
STAGES: Final = HistogramFamily(
    name="shroff_stage_seconds",
    about="Time of a payment in each stage; `whole` is all of it.",
    labels=("stage",),
    unit=1e-9,
)
PROBABILITIES: Final = HistogramFamily(
    name="shroff_fraud_probability",
    about="Probabilities of fraud by model version.",
    labels=("version",),
)
LANE_PAYMENTS: Final = CounterFamily(
    name="shroff_control_lane_payments",
    about="Payments that the control lane might take, by decision: taken, left, or why it had no "
    "chance.",
    labels=("decided", "outcome"),
)
LANE_AT_STAKE: Final = CounterFamily(
    name="shroff_control_lane_at_stake",
    about="What the control lane loses if all payments that it took are frauds, in major units.",
)
IN_FLIGHT: Final = GaugeFamily(
    name="shroff_in_flight_payments", about="Payments decided and not yet durable."
)
READY: Final = GaugeFamily(
    name="shroff_ready", about="Whether `/health/ready` says so.", merge="min"
)
MODEL: Final = InfoFamily(
    name="shroff_model",
    about="The models in use.",
    labels=("role",),
    texts=("name", "version"),
    merge="max",
)
POLICY: Final = InfoFamily(
    name="shroff_policy",
    about="The policies in use, by the role of the model.",
    labels=("role",),
    texts=("version",),
    merge="max",
)
# a worker that replaces another starts its own comparison
SHADOW_PAYMENTS: Final = CounterFamily(
    name="shroff_shadow_payments",
    about="Payments that the shadow scored too, by both actions.",
    labels=("version", "production_action", "shadow_action"),
    inherited=False,
)
SHADOW_PASSED_OVER: Final = CounterFamily(
    name="shroff_shadow_passed_over",
    about="Payments that the shadow did not score because too many waited.",
    labels=("version",),
    inherited=False,
)
SHADOW_DIFFERENCE: Final = GaugeFamily(
    name="shroff_shadow_probability_difference",
    about="Mean absolute difference between the probabilities of shadow and production.",
    weight=SHADOW_PAYMENTS,
)
MODELS_ADOPTED: Final = CounterFamily(
    name="shroff_models_adopted",
    about="Published models that were put into use while running.",
    merge="max",
)
POLICIES_ADOPTED: Final = CounterFamily(
    name="shroff_policies_adopted",
    about="Published policies that were put into use while running.",
    merge="max",
)


def figures(scorer: Scorer, deployments: Deployments | None, census: Census) -> Iterator[Figure]:
    """The figures of a scorer, its ledger and its state as they are now."""
    yield from _payments(scorer, deployments)
    yield from ledger.figures(scorer.ledger)
    yield from state.figures(scorer.state, census)
    yield IN_FLIGHT.single(scorer.in_flight)
    yield READY.single(scorer.unready is None)
    yield from _models(scorer)
    yield from _shadow(scorer.shadow)
    yield MODELS_ADOPTED.single(0 if deployments is None else deployments.adopted)
    yield POLICIES_ADOPTED.single(0 if deployments is None else deployments.policies)


def _payments(scorer: Scorer, deployments: Deployments | None) -> Iterator[Figure]:
    meter = scorer.meter
    decisions = {
        (one.version, one.action, _truth(one.degraded)): count
        for one, count in meter.decisions.items()
    }
    yield DECISIONS.of(decisions)
    yield REPEATED.single(meter.repeated)
    yield LABELS.of(
        {(source, _truth(fraud)): count for (source, fraud), count in meter.labels.items()}
    )
    yield LANE_PAYMENTS.of(dict(scorer.control_group.payments))
    yield LANE_AT_STAKE.single(scorer.control_group.at_stake)
    yield AMBIGUOUS_TIMES.single(scorer.reader.twice)
    published = 0 if deployments is None else deployments.failed
    yield FAILURES.of(
        {
            ("model",): meter.failures["model"],
            ("state",): scorer.drops,
            ("publish",): published,
            ("unexpected",): meter.failures["unexpected"],
        }
    )
    yield STAGES.of({(stage,): histogram for stage, histogram in meter.stages.items()})
    yield PROBABILITIES.of(
        {(version,): histogram for version, histogram in meter.probabilities.items()}
    )


def _models(scorer: Scorer) -> Iterator[Figure]:
    roles = {"production": (scorer.bundle, scorer.decider)}
    if scorer.shadow is not None:
        roles["shadow"] = scorer.shadow.bundle, scorer.shadow.decider
    models = {
        (role,): {"name": bundle.name, "version": bundle.version}
        for role, (bundle, _) in roles.items()
    }
    yield MODEL.of(models)
    yield POLICY.of(
        {(role,): {"version": decider.policy_version} for role, (_, decider) in roles.items()}
    )


def _shadow(shadow: Shadow | None) -> Iterator[Figure]:
    if shadow is None:
        yield SHADOW_PAYMENTS.of({})
        yield SHADOW_PASSED_OVER.of({})
        yield SHADOW_DIFFERENCE.single(0)
        return
    found = shadow.comparison
    yield SHADOW_PAYMENTS.of(
        {(found.shadow, *pair.split("/")): count for pair, count in found.agreement.items()}
    )
    yield SHADOW_PASSED_OVER.of({(found.shadow,): found.passed_over})
    yield SHADOW_DIFFERENCE.single(found.mean_difference)


def _truth(value: bool) -> str:
    return str(value).lower()
