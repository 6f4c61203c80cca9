"""Guardrails of the model in production: what it does since it came there, against declared limits.

A share above its limit is a breach once the evidence is enough: each card's first payment of a day
is a bet that the share is at most the limit (`weigh_evidence`), so that a model which keeps its
limits and does not drift (`monitor`) is rolled back in at most 5 % of all cases, however often one
looks: the guardrails that may err divide them. Latency and parity are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Bools, Texts
from shroff.collect.times import DAY_US, parse_time
from shroff.control.history import GateResult
from shroff.control.models import Models
from shroff.control.pointers import Measured
from shroff.decide.standing import Standing
from shroff.errors import ConfigurationError
from shroff.evaluate.reference import PROBABILITY
from shroff.evaluate.sequential import ENOUGH_EVIDENCE, weigh_evidence
from shroff.ledger import Records, StoredEntry
from shroff.monitor import from_ledger, ledger_parity
from shroff.monitor.budget import FALSE_ALARMS
from shroff.monitor.columns import examine_drift
from shroff.monitor.observed import reference_of
from shroff.monitor.recorded import recorded_payments, recorded_plan
from shroff.package import Bundle
from shroff.promotion import Budget, Contender, Evidence
from shroff.promotion.gates import fast, sample

_TIMED_PAYMENTS: Final = 2_000


class Guardrails(msgspec.Struct, frozen=True, kw_only=True):
    """What the model in production must keep to; None or False: not looked at.

    Attributes:
        declines: the largest share of cards' first payments of a day that it may decline.
        alerts: the same of those that it does not approve.
        p99_ms: milliseconds of processor time that 99 of 100 of its newest payments may take.
        drift: whether its probabilities must stay as they were on held-out payments.
        parity: whether the features that it decided by must be those of batch, to the bit.

    Raises:
        ConfigurationError: none is declared, a share is not between 0 and 1, or a time not above 0.
    """

    declines: float | None = None
    alerts: float | None = None
    p99_ms: float | None = None
    drift: bool = False
    parity: bool = False

    def __post_init__(self) -> None:
        for name in ("declines", "alerts"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise ConfigurationError(
                    f"expected a share of {name} above 0 and below 1, got {share:g}."
                )
        if self.p99_ms is not None and not (isfinite(self.p99_ms) and self.p99_ms > 0):
            raise ConfigurationError(f"expected milliseconds above 0, got {self.p99_ms:g}.")
        if not any((self.declines, self.alerts, self.p99_ms, self.drift, self.parity)):
            raise ConfigurationError(
                "expected at least one guardrail: --declines, --alerts, --latency, --drift or "
                "--parity."
            )


class Guarded(NamedTuple):
    """What guardrails found of the `version` in production, and which one came back (or None)."""

    version: str
    found: tuple[GateResult, ...]
    back: str | None

    @property
    def breached(self) -> tuple[GateResult, ...]:
        """The guardrails that do not hold."""
        return tuple(one for one in self.found if not one.passed)


class _Lane(msgspec.Struct):
    decided: str


class _Decision(msgspec.Struct):
    payment: _Values
    action: str
    model: str
    lane: _Lane | None = None


class _Values(msgspec.Struct):
    values: dict[str, object]


_decode: Final = msgspec.json.Decoder(_Decision).decode


def guard(
    models: Models,
    read: Callable[[int | None], Records],
    limits: Guardrails,
    *,
    now: int,
    by: str | None = None,
    history: Callable[[Bundle], pl.DataFrame | None] = lambda bundle: None,
) -> Guarded:
    """Measure the model in production, and roll it back where it breaches a guardrail.

    A model that a rollback brought back stays: its breach is found and told, and nothing moves.

    Args:
        read: the ledger's entries from a moment on (µs; None: all of them).
        history: the clean table that a bundle's service was started from, if it was.

    Raises:
        ConfigurationError: no model is in production.
    """
    bundle, standing = models.in_production()
    pointers = models.pointers
    since = parse_time(str(pointers.as_of(None).since), None)
    found = _measured(bundle, standing, read, limits, since, now, history)
    broken = [one for one in found if not one.passed]
    last = next(one for one in reversed(pointers.changes) if one.role == "production")
    if not broken or last.action == "rollback" or not pointers.earlier:
        return Guarded(bundle.version, found, None)
    note = "guardrail " + "; ".join(f"{one.gate}: {one.sentence}" for one in broken)
    back = models.rollback(by=by, note=note[:500], measured=Measured(found, bundle.version))
    return Guarded(bundle.version, found, back)


def _measured(
    bundle: Bundle,
    standing: Standing,
    read: Callable[[int | None], Records],
    limits: Guardrails,
    since: int,
    now: int,
    history: Callable[[Bundle], pl.DataFrame | None],
) -> tuple[GateResult, ...]:
    entries = read(None if limits.parity else since)
    recent = entries.since(since)
    actions = _first_of_day(bundle, recent)
    parts = sum(bool(one) for one in (limits.declines, limits.alerts, limits.drift))
    found = list[GateResult]()
    for name, limit, counted in (
        ("declines", limits.declines, actions == "decline"),
        ("alerts", limits.alerts, actions != "approve"),
    ):
        if limit is not None:
            found.append(share_within(name, counted, limit, parts=parts))
    if limits.p99_ms is not None:
        found.append(_latency(bundle, standing, recent, limits.p99_ms))
    if limits.drift:
        found.append(_drift(bundle, recent, now, parts))
    if limits.parity:
        found.append(_parity(bundle, entries, history(bundle)))
    return tuple(found)


def _first_of_day(bundle: Bundle, entries: Iterable[StoredEntry]) -> Texts:
    """What a model decided on each card's first payment of a day, in order."""
    card, seen, actions = bundle.card_column, set[tuple[object, int]](), list[str]()
    for entry in entries:
        if entry.kind != "payment" or entry.forgotten is not None:
            continue
        record = _decode(entry.body)
        if record.model != bundle.version:
            continue
        holder = record.payment.values.get(card) if card is not None else None
        key = (entry.payment_id if holder is None else holder, entry.arrived // DAY_US)
        if key not in seen:
            seen.add(key)
            # the control lane is no fault of the model's
            actions.append(record.action if record.lane is None else record.lane.decided)
    return np.array(actions, dtype=object)


def share_within(name: str, counted: Bools, limit: float, *, parts: int = 1) -> GateResult:
    """Whether a share of cards is not past all doubt above a limit.

    Args:
        parts: how many guardrails divide the chance of an error.

    >>> [share_within("declines", np.full(20, one), 0.05).passed for one in (True, False)]
    [False, True]
    """
    differences = counted.astype(np.float64) - limit
    needed = ENOUGH_EVIDENCE * parts
    evidence = float(weigh_evidence(differences, 1.0).max(initial=1.0))
    share = float(counted.mean()) if counted.size else 0.0
    figures: dict[str, float | int | str | None] = {
        "cards": int(counted.size),
        "share": round(share, 4),
        "limit": limit,
        "evidence": round(min(evidence, 1e9), 2),
        "needed": needed,
    }
    said = (
        f"{share:.1%} of {counted.size:,} cards a day, of {100 * limit:g}% at most; evidence "
        f"against it {min(evidence, 1e9):,.1f}, and {needed:g} is enough."
    )
    return GateResult(name, evidence < needed, said, figures)


def _latency(
    bundle: Bundle, standing: Standing, entries: Iterable[StoredEntry], most: float
) -> GateResult:
    plan = recorded_plan(bundle)
    frame = recorded_payments(plan, entries).tail(_TIMED_PAYMENTS)
    evidence = Evidence(source="the ledger", plan=plan, frame=frame, pairs=None)
    found = fast(sample(Contender(bundle, standing), evidence), Budget(most))
    # too few payments to time are no breach
    few = "p99_ms" not in found.figures
    return msgspec.structs.replace(found, passed=True) if few else found


def _drift(bundle: Bundle, entries: Iterable[StoredEntry], now: int, parts: int) -> GateResult:
    reference = reference_of(bundle)
    budget = FALSE_ALARMS / parts / len(reference.columns)
    drift = examine_drift(reference, from_ledger(bundle, entries), now=now, budget=budget)
    alarm = next((one for one in drift.alarms if one.column == PROBABILITY), None)
    if alarm is None or alarm.last is None:
        return GateResult("drift", True, "its probabilities have not moved past all doubt.")
    return GateResult("drift", False, f"{alarm.last.sentence}.")


def _parity(
    bundle: Bundle, entries: Iterable[StoredEntry], history: pl.DataFrame | None
) -> GateResult:
    found = ledger_parity(bundle, entries, history=history, own=True)
    different = [name for name, many in found.different.items() if many]
    figures: dict[str, float | int | str | None] = {
        "payments": found.payments,
        "different": len(different),
    }
    if found.holds:
        said = f"features of {found.payments:,} decisions are those of batch, to the bit."
        return GateResult("parity", True, said, figures)
    said = f"batch gives another {', '.join(different)} for {found.payments:,} decisions."
    return GateResult("parity", False, said, figures)
