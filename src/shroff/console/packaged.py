"""The runs that packaged a bundle, and their reports, read again where a record has changed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from shroff.errors import BadFile
from shroff.experiment import RunRecord, Runs
from shroff.experiment.runs import RECORD_FILE
from shroff.markup import Html, join
from shroff.report.page import island, require_finished, slider
from shroff.report.sections import SECTIONS, summary


class PackagedRun(NamedTuple):
    """A run, the version that it packaged, its best detector and that one's average precision."""

    run: str
    version: str
    best: str
    average_precision: float
    began: str


class PackagedRuns:
    """The finished runs of an installation that packaged something, the newest first."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self._known: dict[str, tuple[int, PackagedRun | None]] = {}

    def all(self) -> list[PackagedRun]:
        """Every one; a record that cannot be read is left out."""
        found = {}
        for file in self.runs.folder.glob(f"*/{RECORD_FILE}"):
            name, changed = file.parent.name, file.stat().st_mtime_ns
            known = self._known.get(name)
            found[name] = known if known and known[0] == changed else (changed, self._read(name))
        self._known = found
        packaged = [one for _, one in found.values() if one is not None]
        return sorted(packaged, key=lambda one: (one.began, one.run), reverse=True)

    def maker(self, version: str) -> PackagedRun | None:
        """The run that packaged a version."""
        return next((one for one in self.all() if one.version == version), None)

    def _read(self, name: str) -> PackagedRun | None:
        try:
            record = self.runs.find(name)
            best = record.figures["best"]
            return PackagedRun(
                run=name,
                version=str((record.bundle or {})["version"]),
                best=str(best),
                average_precision=float(
                    record.figures["detectors"][best]["test"]["average_precision"]
                ),
                began=record.began,
            )
        except (BadFile, LookupError, TypeError, ValueError):
            return None


def report_of(folder: Path, run: str) -> tuple[Html, Html]:
    """The sections of a finished run's report, and the data of its script.

    Raises:
        ConfigurationError: the run did not finish.
        BadFile: its record cannot be read.
    """
    try:
        changed = (folder / run / RECORD_FILE).stat().st_mtime_ns
    except OSError:
        changed = 0  # what reads it says what is wrong
    return _report_of(folder, run, changed)


@lru_cache(maxsize=8)
def _report_of(folder: Path, run: str, _changed: int) -> tuple[Html, Html]:
    record: RunRecord = Runs(folder).find(run)
    require_finished(record)
    sections = (one for one in SECTIONS if one is not summary)
    return join(one(record) for one in sections), island(slider(record))
