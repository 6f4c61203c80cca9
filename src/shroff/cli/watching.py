"""One look of `shroff monitor`: what was asked for, read, judged and held against the gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from shroff.cli.arguments import require_payments
from shroff.cli.terminal import Steps
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.ledger import Ledger
    from shroff.monitor import DecidedPayments, Finding, ModelVerdict
    from shroff.monitor.following import FollowedDecisions, FollowedSchemes
    from shroff.monitor.performance import Month
    from shroff.monitor.scheme_watch import SchemeGauge
    from shroff.package import Bundle


class Look(NamedTuple):
    """What a look at a model examines; see the options of `shroff monitor`."""

    bundle: Path | None
    data: Location | None
    labels: Location | None
    tolerance: float
    label_delay: float | None
    max_bad: float
    by: str | None
    least_precision: float | None
    least_recall: float | None
    parity: int
    warm: Location | None
    warm_labels: Location | None
    service: str | None
    latency_ms: Mapping[float, float]
    schemes: Literal["merchant", "acquirer"] | None
    disputed_by: tuple[str, ...]
    alerts: bool


class Looked(NamedTuple):
    """The verdict, what decisions came to by segment, and the gauges of schemes."""

    model: Bundle
    verdict: ModelVerdict
    segments: tuple[Month, ...]
    gauges: tuple[SchemeGauge, ...]


class Followed(NamedTuple):
    """What earlier looks have read of the ledger."""

    decisions: FollowedDecisions
    schemes: FollowedSchemes


def look(asked: Look, settings: Settings, step: Steps, followed: Followed) -> Looked:
    """Read and judge.

    Args:
        followed: what earlier looks have read of the ledger.

    Raises:
        ConfigurationError: nothing is in production, the bundle keeps no reference, a segment that
            is no input, gates that this look cannot examine.
        LedgerUnavailable, ControlUnavailable, SourceUnavailable: what is read does not answer.
    """
    from shroff.clock import system_time
    from shroff.monitor import from_log, judge
    from shroff.monitor.observed import reference_of
    from shroff.package.trained import judged_from, usual_delay
    from shroff.scoring.history import history_of

    require_payments(asked.data, asked.labels)
    require_payments(asked.warm, asked.warm_labels, flag="--warm")
    step("read the bundle")
    model = _bundle(asked.bundle)
    if asked.alerts:
        _require_in_production(model)
    reference_of(model)  # before the ledger is read
    _require_examinable(asked)
    if asked.data is None:
        step("read the ledger")
        observed, now = followed.decisions.look(model, _ledger(settings)), system_time()
    else:
        step(f"decide the payments of {asked.data}")
        # without labels, all that was let pass would count as genuine
        frame = history_of(
            model,
            asked.data,
            settings.hmac_key(),
            asked.max_bad,
            labels=asked.labels,
            spare_labels=False,
        )
        observed = from_log(model, frame, since=judged_from(model))
        now = max(observed.decisions["arrived"], default=0)
    step("judge")
    found = judge(
        model,
        observed,
        now=now,
        tolerance=asked.tolerance,
        delay_days=usual_delay(model) if asked.label_delay is None else asked.label_delay,
    )
    gates = list(_gates(asked, model, found, settings, step))
    gauges = tuple(_schemes(asked, model, settings, now, followed.schemes))
    return Looked(
        model,
        found.adding(*gates, *(one.finding() for one in gauges)),
        _segments(asked.by, model, observed, found.mature),
        gauges,
    )


def in_production() -> Bundle:
    """The model in production.

    Raises:
        ConfigurationError: there is none.
    """
    from shroff.cli.models import published
    from shroff.errors import ConfigurationError

    models = published()
    version = models.pointers.production
    if version is None:
        raise ConfigurationError(
            "expected a bundle, or a model in production: none is published (`shroff publish`)."
        )
    return models.load(version)


def _require_in_production(model: Bundle) -> None:
    """Raise `ConfigurationError` for another model than the one in production, if there is one:
    its look would end the alarms of that one.
    """
    from shroff.cli.models import published
    from shroff.errors import ConfigurationError

    version = published().pointers.production
    if version not in (None, model.version):
        raise ConfigurationError(
            f"expected --alerts with the model in production, which is {version}, got "
            f"{model.version}: look at another one without it."
        )


def _bundle(path: Path | None) -> Bundle:
    from shroff.package import load

    return in_production() if path is None else load(path)


def _ledger(settings: Settings) -> Ledger:
    from shroff.control import reading_keyring
    from shroff.ledger import Ledger

    return Ledger(settings.ledger, keyring=reading_keyring(settings.control))


def _require_examinable(asked: Look) -> None:
    from shroff.errors import ConfigurationError

    if asked.parity and asked.data is not None:
        raise ConfigurationError(
            "expected --parity without --data: a log has no recorded features to compare."
        )
    if asked.schemes is not None and asked.data is not None:
        raise ConfigurationError(
            "expected --schemes without --data: `shroff schemes` has the figures of a log."
        )
    if asked.latency_ms and asked.service is None:
        raise ConfigurationError("expected --service URL with --p50 or --p99.")


def _gates(
    asked: Look, model: Bundle, found: ModelVerdict, settings: Settings, step: Steps
) -> Iterator[Finding]:
    """What the declared gates found."""
    from shroff.monitor import gates, latency, sampled
    from shroff.scoring.history import history_of

    declared = gates.PerformanceGates(asked.least_precision, asked.least_recall)
    yield from gates.findings(found.months, declared)
    if asked.service is not None:
        step("ask the service how long payments wait")
        yield from latency.findings(
            latency.waited(asked.service, settings.api_key), asked.latency_ms
        )
    if asked.parity:
        step("compute features again")
        key = settings.hmac_key()
        warm = (
            None
            if asked.warm is None
            else history_of(model, asked.warm, key, asked.max_bad, labels=asked.warm_labels)
        )
        compared = sampled.sampled_parity(
            model,
            _ledger(settings).records(),
            size=asked.parity,
            key=key,
            day=datetime.now(UTC).date(),
            history=warm,
        )
        yield sampled.finding(compared)


def _schemes(
    asked: Look, model: Bundle, settings: Settings, now: int, followed: FollowedSchemes
) -> Iterator[SchemeGauge]:
    from shroff.monitor.scheme_watch import gauges

    if asked.schemes is None:
        return
    sums = followed.look(model.schema, _ledger(settings), now=now, disputed_by=asked.disputed_by)
    if sums is not None:
        yield from gauges(model, sums, side=asked.schemes)


def _segments(
    by: str | None, model: Bundle, observed: DecidedPayments, mature: int
) -> tuple[Month, ...]:
    from shroff.decide.standing import own
    from shroff.errors import UnknownColumn, did_you_mean
    from shroff.monitor.performance import by_segment

    if by is None:
        return ()
    if by not in observed.inputs.columns:
        hint = did_you_mean(by, observed.inputs.columns) or "."
        raise UnknownColumn(f"--by: the model has no input `{by}`{hint}")
    values = observed.inputs[by]
    cost = own(model).policy.cost
    return tuple(by_segment(observed.decisions, values, until=mature, cost=cost))
