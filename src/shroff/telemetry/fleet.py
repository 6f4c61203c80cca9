"""Merges the figures of several workers: each writes its own; the one that is scraped adds up.

Counting costs the same as in one process: a worker writes its figures to disk only once a second
and when it is scraped. So every figure that Prometheus got is on disk, and no counter falls when a
worker dies: its replacement continues the count.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Final

import msgspec
from prometheus_client import Metric

from shroff.telemetry.family import Family, Figure

_FRESH_SECONDS: Final = 5.0
"""The age up to which a worker's gauges count."""
_CUMULATIVE_TYPES: Final = frozenset({"counter", "histogram"})
_MERGE: Final[Mapping[str, Callable[[float, float], float]]] = {
    "sum": float.__add__,
    "max": max,
    "min": min,
}

_log = logging.getLogger(__name__)

Labels = tuple[tuple[str, str], ...]


class FamilyRecord(msgspec.Struct, frozen=True):
    """A metric as a worker keeps it on disk: its samples by name and labels."""

    name: str
    about: str
    kind: str
    samples: list[tuple[str, Labels, float]]

    @classmethod
    def of(cls, metric: Metric) -> FamilyRecord:
        """The record of a metric."""
        samples = [
            (one.name, tuple(sorted(one.labels.items())), float(one.value))
            for one in metric.samples
        ]
        return cls(metric.name, metric.documentation, metric.type, samples)

    def metric(self) -> Metric:
        """The metric of a record."""
        made = Metric(self.name, self.about, self.kind)
        for name, labels, value in self.samples:
            made.add_sample(name, dict(labels), value)
        return made


class WorkerRecord(msgspec.Struct, frozen=True):
    """The figures of a worker at a time in seconds since the epoch."""

    at: float
    families: list[FamilyRecord]


class Fleet:
    """The figures of all workers, as one of them sees them.

    Args:
        seat: this worker's number; it continues the figures of its predecessor in that seat.
    """

    def __init__(self, folder: Path, seat: int) -> None:
        self._folder = folder
        self._own = folder / f"{seat}.figures"
        self._silent = False
        before = _read(self._own)
        self._before = [] if before is None else _lasting(before)

    def together(self, figures: Sequence[Figure]) -> list[Metric]:
        """The figures of all workers: this one's now, the others' as of a second ago."""
        own = self.keep(figures)
        others = [
            _read(path) for path in sorted(self._folder.glob("*.figures")) if path != self._own
        ]
        known = [
            _lasting(one) if time() - one.at > _FRESH_SECONDS else one.families
            for one in others
            if one is not None
        ]
        return [record.metric() for record in total([own, *known], _declared(figures))]

    def keep(self, figures: Sequence[Figure]) -> list[FamilyRecord]:
        """Write the sum of this worker's figures and its predecessors'; returns it."""
        declared = _declared(figures)
        before = [record for record in self._before if _inherited(declared.get(record.name))]
        own = total([[FamilyRecord.of(figure.metric) for figure in figures], before], declared)
        beside = self._own.with_suffix(".new")
        try:
            beside.write_bytes(msgspec.json.encode(WorkerRecord(time(), own)))
            beside.replace(self._own)
        except OSError as error:
            # the fleet's figures are optional: payments are decided without them
            if not self._silent:
                _log.warning(
                    "the figures for other workers cannot be kept in %s: %s.",
                    self._folder,
                    error.strerror,
                )
            self._silent = True
        else:
            self._silent = False
        return own


def total(
    found: Sequence[Sequence[FamilyRecord]], declared: Mapping[str, Family]
) -> list[FamilyRecord]:
    """The figures of several workers as one, each family by its rule: mostly their sums.

    >>> from shroff.telemetry.figures import FAILURES
    >>> workers = [[FamilyRecord.of(FAILURES.of({("ledger",): count}).metric)] for count in (1, 2)]
    >>> total(workers, {FAILURES.name: FAILURES})[0].samples
    [('shroff_failures_total', (('kind', 'ledger'),), 3.0)]
    """
    each = [{record.name: record for record in one} for one in found]
    names = dict.fromkeys(name for one in each for name in one)
    return [_one(name, each, declared.get(name)) for name in names]


def _one(
    name: str, each: Sequence[Mapping[str, FamilyRecord]], family: Family | None
) -> FamilyRecord:
    if family is not None and family.weight is not None:
        return _mean(name, each, family.weight.name)
    return _merged(
        [one[name] for one in each if name in one], "sum" if family is None else family.merge
    )


def _merged(same: Sequence[FamilyRecord], merge: str) -> FamilyRecord:
    first, add = same[0], _MERGE[merge]
    values: dict[tuple[str, Labels], float] = {}
    for record in same:
        for sample, labels, value in record.samples:
            known = values.get((sample, labels))
            values[sample, labels] = value if known is None else add(known, value)
    samples = [(sample, labels, value) for (sample, labels), value in values.items()]
    return FamilyRecord(first.name, first.about, first.kind, samples)


def _mean(name: str, each: Sequence[Mapping[str, FamilyRecord]], weight: str) -> FamilyRecord:
    """The mean of what each worker has, weighted by what it counted."""
    weighed = [(one[name], _sum(one.get(weight))) for one in each if name in one]
    whole = sum(number for _, number in weighed)
    mean = sum(_sum(record) * number for record, number in weighed) / whole if whole else 0.0
    first = weighed[0][0]
    return FamilyRecord(first.name, first.about, first.kind, [(first.name, (), mean)])


def _sum(record: FamilyRecord | None) -> float:
    return 0.0 if record is None else sum(value for _, _, value in record.samples)


def _declared(figures: Iterable[Figure]) -> dict[str, Family]:
    return {figure.family.name: figure.family for figure in figures}


def _lasting(worker: WorkerRecord) -> list[FamilyRecord]:
    """The families that outlive a worker: counters and histograms."""
    return [record for record in worker.families if record.kind in _CUMULATIVE_TYPES]


def _inherited(family: Family | None) -> bool:
    return family is None or (family.inherited and family.merge == "sum")


def _read(path: Path) -> WorkerRecord | None:
    with suppress(FileNotFoundError):
        return msgspec.json.decode(path.read_bytes(), type=WorkerRecord)
    return None
