"""The gates of a promotion: doctor, parity, latency, better than the incumbent, model card."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from time import thread_time_ns
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import polars as pl

from shroff.arrays import Floats
from shroff.collect.payment import Value, payments
from shroff.control.history import GateResult
from shroff.decide.decider import Decider
from shroff.errors import ConfigurationError
from shroff.evaluate.sequential import ENOUGH_EVIDENCE
from shroff.features.engines.batch import compute_plan
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.replay import feed
from shroff.monitor.parity import compare
from shroff.package import Bundle
from shroff.promotion.evidence import Contender, Evidence
from shroff.promotion.paired import compare_pairs

_MAX_SAMPLE_PAYMENTS: Final = 10_000
_MIN_TIMED_PAYMENTS: Final = 100
_WARM_UP_SHARE: Final = 0.1
_MEAN_FRAUDS: Final = 10
"""How many mean frauds of the incumbent's held-out payments the largest difference of a card is."""
_LATENESS: Final = "36500d"
Figures: TypeAlias = dict[str, float | int | str | None]


class Budget(NamedTuple):
    """What a promotion may cost and count.

    `p99_ms` is how much processor time scoring a payment may take, features included, for 99 of 100
    payments; `largest` the largest difference of a card that counts, in major units (None: ten mean
    frauds of the incumbent's held-out payments).
    """

    p99_ms: float = 10.0
    largest: float | None = None


USUAL_BUDGET: Final = Budget()


class Sampled(NamedTuple):
    """What the online engine and the model made of payments one by one, and how many milliseconds
    of processor time each took.
    """

    features: pl.DataFrame
    frame: pl.DataFrame
    milliseconds: Floats


def examined(bundle: Bundle) -> GateResult:
    """Whether the doctor found no failure that nobody accepted, as the bundle records it."""
    one = bundle.metrics.get("detectors", {}).get(bundle.name)
    if one is None or "findings" not in one or "findings" not in bundle.metrics:
        return _refused("doctor", "the bundle records no examination: train and package it again.")
    found = [*bundle.metrics["findings"], *one["findings"]]
    accepted = set(bundle.metrics.get("accepted", ()))
    failures = {each["check"] for each in found if each["severity"] == "failure"}
    figures: Figures = {
        "findings": len(found),
        "failures": len(failures - accepted),
        "accepted": ", ".join(sorted(failures & accepted)),
    }
    if failures - accepted:
        names = ", ".join(sorted(failures - accepted))
        return _refused("doctor", f"expected no failure, got {names}.", figures)
    among = f" among {len(found):,} finding{'' if len(found) == 1 else 's'}" if found else ""
    known = f", and {figures['accepted']} was accepted" if failures else ""
    return GateResult("doctor", True, f"no failure{among}{known}.", figures)


def sample(contender: Contender, evidence: Evidence) -> Sampled:
    """Score the first payments to arrive one by one, as the service does."""
    schema = evidence.plan.schema
    arrival = schema.arrived_at or schema.time
    frame = evidence.frame.sort(arrival, maintain_order=True)[:_MAX_SAMPLE_PAYMENTS]
    engine = OnlineEngine(contender.bundle.groups, schema, lateness=_LATENESS)
    decider = Decider(contender.bundle, contender.standing)
    rows, took, walk = list[dict[str, Value]](), list[int](), feed(engine, frame)
    for payment in payments(frame, schema):
        # of this thread's processor time: what a busy machine lets it wait is no cost of the model
        began = thread_time_ns()
        known = next(walk) or {}
        decider.assess([payment.values | known])
        took.append(thread_time_ns() - began)
        rows.append(known)
    columns = [
        pl.Series(
            name, [row[name] for row in rows], dtype=pl.String if kind == "text" else pl.Float64
        )
        for name, kind in evidence.plan.kinds.items()
    ]
    features = pl.DataFrame([frame[schema.id], *columns])
    return Sampled(features, frame, np.array(took, dtype=np.float64) / 1e6)


def equal(evidence: Evidence, sampled: Sampled) -> GateResult:
    """Whether batch and the online engine compute the same features of sampled payments."""
    found = compare(compute_plan(evidence.plan, sampled.frame), sampled.features, "batch", "online")
    different = [name for name, count in found.different.items() if count]
    figures: Figures = {
        "payments": found.payments,
        "features": len(found.different),
        "different": len(different),
        "source": evidence.source,
    }
    if not found.payments:
        return _refused("parity", f"expected payments in {evidence.source}, got none.", figures)
    said = f"of {found.payments:,} payments of {evidence.source}"
    if different:
        return _refused(
            "parity", f"batch and online differ in {', '.join(different)} {said}.", figures
        )
    return GateResult(
        "parity", True, f"{len(found.different)} features {said} are equal to the bit.", figures
    )


def fast(sampled: Sampled, budget: Budget) -> GateResult:
    """Whether 99 of 100 payments were scored within the budget of processor time, after a tenth to
    warm up.
    """
    timed = sampled.milliseconds[int(len(sampled.milliseconds) * _WARM_UP_SHARE) :]
    if timed.size < _MIN_TIMED_PAYMENTS:
        return _refused(
            "latency",
            f"expected {_MIN_TIMED_PAYMENTS} payments or more to time, got {timed.size}.",
            {"payments": timed.size, "budget_ms": budget.p99_ms},
        )
    p50, p99 = (round(float(one), 3) for one in np.percentile(timed, (50, 99)))
    figures: Figures = {
        "payments": timed.size,
        "p50_ms": p50,
        "p99_ms": p99,
        "budget_ms": budget.p99_ms,
    }
    said = (
        f"{p99:.3g} ms of processor time at p99 over {timed.size:,} payments, of a budget of "
        f"{budget.p99_ms:g} ms."
    )
    return GateResult("latency", p99 <= budget.p99_ms, said, figures)


def better(evidence: Evidence, incumbent: Contender | None, budget: Budget) -> GateResult:
    """Whether the candidate saves money against the model in production, on the same payments."""
    if incumbent is None or evidence.pairs is None:
        return GateResult("better", True, "no model is in production to compare with.")
    version = incumbent.bundle.version
    try:
        largest = _largest(incumbent) if budget.largest is None else budget.largest
        cost = incumbent.standing.policy.cost
        found = compare_pairs(evidence.pairs, cost, largest=largest)
    except ConfigurationError as error:
        return _refused("better", str(error), {"incumbent": version})
    cards = found.evidence.size
    evidence_now = float(found.evidence[-1]) if cards else 1.0
    frauds = int(found.frauds[-1]) if cards else 0
    figures: Figures = {
        "incumbent": version,
        "source": evidence.source,
        "payments": found.payments,
        "different": found.different,
        "unknown": found.unknown,
        "unpriced": found.unpriced,
        "cards": cards,
        "frauds": frauds,
        "saved": round(found.saved, 2),
        "evidence": round(evidence_now, 3) if isfinite(evidence_now) else None,
        "needed": ENOUGH_EVIDENCE,
        "largest": round(largest, 2),
        "capped": found.capped,
    }
    unit = f" {incumbent.bundle.currency}" if incumbent.bundle.currency else ""
    verb = "saves" if found.saved >= 0 else "loses"
    said = (
        f"{verb} {abs(found.saved):,.2f}{unit} against {version} over {found.payments:,} payments "
        f"of {evidence.source}; {cards:,} cards and {frauds:,} known frauds are evidence of "
        f"{evidence_now:,.1f}, and {ENOUGH_EVIDENCE:g} is enough."
    )
    if not found.payments:
        said += (
            " No payment counts yet: only those of the ledger whose label delay is over do "
            "(`--label-delay`), or those of a log (`--data`) that neither model learned from."
        )
    if found.unpriced:
        said += f" What {found.unpriced:,} payments cost is not known: they count as equal."
    return GateResult("better", evidence_now >= ENOUGH_EVIDENCE and found.saved > 0, said, figures)


def described(missing: Sequence[str]) -> GateResult:
    """Whether a model card is complete, of which these sentences say what it lacks."""
    figures: Figures = {"missing": len(missing)}
    if missing:
        others = f" `shroff card` lists all {len(missing)} gaps." if len(missing) > 1 else ""
        return _refused("card", f"its model card is not complete. {missing[0]}{others}", figures)
    return GateResult("card", True, "its model card is complete.", figures)


def _largest(incumbent: Contender) -> float:
    cost, daily = incumbent.standing.policy.cost, incumbent.bundle.daily
    if (sql := cost.expressions.get("missed")) is not None:
        if daily is None or daily.expressions.get("missed") != sql:
            raise ConfigurationError(
                "expected the held-out values of `Cost(missed=…)` in the bundle in production, to "
                "know the largest difference of a card that counts: say it with `--largest MONEY`."
            )
        lost, counts = daily.column("missed"), daily.column("frauds")
        return _MEAN_FRAUDS * float(lost @ counts / max(counts.sum(), 1.0))
    held = incumbent.bundle.held_out
    frauds = 0 if held is None else sum(held.frauds)
    if held is None or not frauds:
        raise ConfigurationError(
            "expected held-out frauds in the bundle in production, to know the largest difference "
            "of a card that counts: say it with `--largest MONEY`."
        )
    mean = np.array([sum(held.lost) / frauds])
    return _MEAN_FRAUDS * float(cost.of_missed(mean)[0])


def _refused(gate: str, sentence: str, figures: Figures | None = None) -> GateResult:
    return GateResult(gate, False, sentence, figures or {})
