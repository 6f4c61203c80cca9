"""Whether a model in production still sees the payments that it was made for, and does its work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from shroff.collect.times import iso_time
from shroff.decide.standing import own
from shroff.evaluate.reference import TrainingReference
from shroff.monitor.arrivals import SourceArrival, label_arrival
from shroff.monitor.budget import FALSE_ALARMS
from shroff.monitor.calibration import MonthlyCalibration, calibration
from shroff.monitor.calibration import findings as off_calibration
from shroff.monitor.columns import Drift, examine_drift, partial_weeks
from shroff.monitor.drift import TOLERANCE, Shift
from shroff.monitor.early import EarlyFrauds, early_by_month
from shroff.monitor.finding import Finding, by_severity
from shroff.monitor.lane import LaneMonth, lane_by_month
from shroff.monitor.observed import DecidedPayments, reference_of
from shroff.monitor.performance import Month, by_month, mature_until
from shroff.package import Bundle

_OTHER_MONITORS: Final = 3
"""What shares the budget of false alarms with the columns: the mix of decisions, the arrival of
labels and calibration.
"""


class ModelVerdict(NamedTuple):
    """What monitoring found of a model.

    `others` payments were decided by other models; labels of payments until `mature` have come in.
    `findings` begin with the alarms; who finds more adds them (`adding`). `lanes` is what the
    control lane shows, `early` what is estimated before labels are in.
    """

    model: str
    drift: Drift
    months: tuple[Month, ...]
    others: int
    mature: int
    lanes: tuple[LaneMonth, ...] = ()
    early: tuple[EarlyFrauds, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there is no alarm."""
        return all(one.severity != "alarm" for one in self.findings)

    def adding(self, *findings: Finding) -> ModelVerdict:
        """The verdict with more findings."""
        return self._replace(findings=by_severity((*self.findings, *findings)))

    @property
    def summary(self) -> list[str]:
        """What was examined, in words."""
        drift = self.drift
        if not drift.payments:
            return [f"{self.model} decided no payment; other models decided {self.others:,}."]
        days = "1 day" if drift.days == 1 else f"{drift.days:,} days"
        payments = "1 payment" if drift.payments == 1 else f"{drift.payments:,} payments"
        first = (
            f"{self.model} decided {payments} on {days}"
            f" ({self.others:,} more were decided by other models)."
        )
        return [first, self._drifted()]

    @property
    def sentences(self) -> list[str]:
        """The verdict in words: what was examined, then each finding."""
        found = (f"{one.severity.capitalize()}: {one.sentence}" for one in self.findings)
        return [*self.summary, *found]

    def _drifted(self) -> str:
        drift = self.drift
        if not any(one.windows for one in drift.columns):
            return "No whole day has passed since it began: there is nothing to compare."
        columns, moved = f"{len(drift.all):,} columns", len(drift.alarms)
        if not moved:
            return f"No drift: none of {columns} has moved past all doubt."
        have = "has" if moved == 1 else "have"
        return f"Drift: {moved:,} of {columns} {have} moved past all doubt."

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON."""
        columns = [
            {
                "column": one.column,
                "windows": one.windows,
                "stability_index": one.stability_index,
                "first_alarm": _plain(one.first),
                "last_alarm": _plain(one.last),
            }
            for one in self.drift.all
        ]
        return {
            "model": self.model,
            "holds": self.holds,
            "verdict": self.sentences,
            "findings": [one.to_dict() for one in self.findings],
            "payments": self.drift.payments,
            "decided_by_others": self.others,
            "drift": columns,
            "labels_known_until": iso_time(self.mature, "seconds"),
            "months": [one._asdict() for one in self.months],
            "control_lane": [one.to_dict() for one in self.lanes],
            "before_labels": [one.to_dict() for one in self.early],
        }


def judge(
    bundle: Bundle,
    observed: DecidedPayments,
    *,
    now: int,
    delay_days: float,
    tolerance: float = TOLERANCE,
    budget: float = FALSE_ALARMS,
) -> ModelVerdict:
    """Examine what a model decided until `now`, in microseconds since the epoch.

    Args:
        delay_days: in which labels come in.
        tolerance: the difference of shares, in Cohen's h, up to which there is no alarm.
        budget: the share of models without a drift that ever get an alarm, at most.

    Raises:
        ConfigurationError: the bundle keeps no reference.
    """
    until, reference = mature_until(now, delay_days), reference_of(bundle)
    examined = examine_all(
        reference,
        observed,
        now=now,
        delay_days=delay_days,
        tolerance=tolerance,
        budget=budget,
    )
    return ModelVerdict(
        f"{bundle.name}, version {bundle.version},",
        examined.drift,
        tuple(by_month(observed.decisions, until=until, cost=own(bundle).policy.cost)),
        observed.others,
        until,
        tuple(lane_by_month(observed.decisions, until=until)),
        tuple(early_by_month(observed.decisions, now=now, until=until, delay_days=delay_days)),
    ).adding(*examined.findings(), *partial_weeks(reference))


class Examined(NamedTuple):
    """Everything that shares the budget of false alarms."""

    drift: Drift
    sources: list[SourceArrival]
    calibrated: list[MonthlyCalibration]

    def findings(self) -> Iterator[Finding]:
        """What was found."""
        yield from self.drift.findings()
        for one in self.sources:
            yield from one.findings()
        yield from off_calibration(self.calibrated)


def examine_all(
    reference: TrainingReference,
    observed: DecidedPayments,
    *,
    now: int,
    delay_days: float,
    tolerance: float = TOLERANCE,
    budget: float = FALSE_ALARMS,
) -> Examined:
    """Test what a model decided by one budget of false alarms; arguments as of `judge`."""
    each = budget / (len(reference.columns) + _OTHER_MONITORS)
    return Examined(
        examine_drift(reference, observed, now=now, budget=each, tolerance=tolerance),
        label_arrival(observed, now=now, delay_days=delay_days, budget=each, tolerance=tolerance),
        calibration(observed.decisions, until=mature_until(now, delay_days), budget=each),
    )


def _plain(shift: Shift | None) -> dict[str, Any] | None:
    return None if shift is None else {**shift._asdict(), "since": str(shift.since)}
