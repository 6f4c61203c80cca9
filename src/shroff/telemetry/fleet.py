"""The figures of several workers as one: each keeps its own in a folder, and whoever is asked adds them up.

Counting costs what it costs in one process: only once a second, and when it is asked, a worker writes down where its
figures stand. So what Prometheus was told is on disk, and a counter does not fall when a worker dies: whoever takes its
seat counts on from there.
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

_FRESH: Final = 5.0
"""Seconds after which what a worker wrote says nothing about now."""
_COUNTED: Final = frozenset({"counter", "histogram"})
# every worker knows all of these by itself, or they say that something is so
_MOST: Final = frozenset(
    {
        "shroff_ledger_records",
        "shroff_list_edits",
        "shroff_model",
        "shroff_models_adopted",
        "shroff_policies_adopted",
        "shroff_policy",
    }
)
_LEAST: Final = frozenset({"shroff_ready", "process_start_time_seconds", "process_max_fds"})
_SHADOW: Final = "shroff_shadow_"
_COMPARED: Final = "shroff_shadow_payments"
_DIFFERENCE: Final = "shroff_shadow_probability_difference"

_log = logging.getLogger(__name__)

Labels = tuple[tuple[str, str], ...]
Add = Callable[[float, float], float]


class Family(msgspec.Struct, frozen=True):
    """A metric as it is kept: its samples by name and labels."""

    name: str
    about: str
    kind: str
    samples: list[tuple[str, Labels, float]]

    @classmethod
    def of(cls, metric: Metric) -> Family:
        """What is kept of a metric."""
        samples = [(one.name, tuple(sorted(one.labels.items())), float(one.value)) for one in metric.samples]
        return cls(metric.name, metric.documentation, metric.type, samples)

    def metric(self) -> Metric:
        """The metric."""
        made = Metric(self.name, self.about, self.kind)
        for name, labels, value in self.samples:
            made.add_sample(name, dict(labels), value)
        return made


class Figures(msgspec.Struct, frozen=True):
    """Where the figures of a worker stood, at a time in seconds since the epoch."""

    at: float
    families: list[Family]


class Fleet:
    """The figures of all workers, as one of them sees them.

    Args:
        seat: this worker's place among them; what a worker before it left there is counted on.
    """

    def __init__(self, folder: Path, seat: int) -> None:
        self._folder = folder
        self._own = folder / f"{seat}.figures"
        self._silent = False
        before = _read(self._own)
        self._before = [] if before is None else [family for family in _lasting(before) if _inherited(family)]

    def keep(self, metrics: Iterable[Metric]) -> list[Family]:
        """Write down where this worker's figures stand; with those of the workers before it."""
        own = total([[Family.of(metric) for metric in metrics], self._before])
        beside = self._own.with_suffix(".new")
        try:
            beside.write_bytes(msgspec.json.encode(Figures(time(), own)))
            beside.replace(self._own)
        except OSError as error:
            # payments are decided all the same
            if not self._silent:
                _log.warning("the figures for other workers cannot be kept in %s: %s.", self._folder, error.strerror)
            self._silent = True
        else:
            self._silent = False
        return own

    def together(self, metrics: Iterable[Metric]) -> list[Metric]:
        """The figures of all workers: this one's as they are, those of the others as they stood a second ago."""
        own = self.keep(metrics)
        others = [_read(path) for path in sorted(self._folder.glob("*.figures")) if path != self._own]
        known = [_lasting(one) if time() - one.at > _FRESH else one.families for one in others if one is not None]
        return [family.metric() for family in total([own, *known])]


def total(found: Sequence[Sequence[Family]]) -> list[Family]:
    """The figures of several workers as one: mostly their sums.

    >>> one = Family("shroff_ready", "", "gauge", [("shroff_ready", (), 1.0)])
    >>> other = Family("shroff_ready", "", "gauge", [("shroff_ready", (), 0.0)])
    >>> total([[one], [other]])[0].samples
    [('shroff_ready', (), 0.0)]
    """
    each = [{family.name: family for family in one} for one in found]
    names = dict.fromkeys(name for one in each for name in one)
    return [_mean(each) if name == _DIFFERENCE else _merged(name, each) for name in names]


def _merged(name: str, each: Sequence[Mapping[str, Family]]) -> Family:
    same = [one[name] for one in each if name in one]
    first = same[0]
    add: Add = max if name in _MOST else min if name in _LEAST else float.__add__
    values: dict[tuple[str, Labels], float] = {}
    for family in same:
        for sample, labels, value in family.samples:
            known = values.get((sample, labels))
            values[sample, labels] = value if known is None else add(known, value)
    samples = [(sample, labels, value) for (sample, labels), value in values.items()]
    return Family(first.name, first.about, first.kind, samples)


def _mean(each: Sequence[Mapping[str, Family]]) -> Family:
    """The mean difference between shadow and production, over the payments that each worker compared."""
    told = [(one[_DIFFERENCE], _sum(one.get(_COMPARED))) for one in each if _DIFFERENCE in one]
    payments = sum(number for _, number in told)
    mean = sum(_sum(family) * number for family, number in told) / payments if payments else 0.0
    first = told[0][0]
    return Family(first.name, first.about, first.kind, [(first.name, (), mean)])


def _sum(family: Family | None) -> float:
    return 0.0 if family is None else sum(value for _, _, value in family.samples)


def _lasting(figures: Figures) -> list[Family]:
    """What was counted: that stays so, whatever became of the worker."""
    return [family for family in figures.families if family.kind in _COUNTED]


def _inherited(family: Family) -> bool:
    # whoever takes a seat compares anew, and counts those by itself
    return not family.name.startswith(_SHADOW) and family.name not in _MOST


def _read(path: Path) -> Figures | None:
    with suppress(FileNotFoundError):
        return msgspec.json.decode(path.read_bytes(), type=Figures)
    return None
