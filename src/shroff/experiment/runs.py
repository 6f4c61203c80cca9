"""The runs of an installation: a folder each, with its record; a lock says which of them are
running.

The lock is the operating system's (`flock`), so it goes with the process, however that ends: a run
without an end whose lock is free was killed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from shroff.collect.json_text import UNREADABLE
from shroff.collect.sources import written_whole
from shroff.errors import BadFile, ConfigurationError, NotFound, ShroffError, did_you_mean
from shroff.evaluate.judgement import Judgement
from shroff.experiment.record import (
    RunRecord,
    Status,
    code_versions,
    differences,
    this_machine,
)
from shroff.plain import read_plain
from shroff.private import private_file, private_folder
from shroff.settings import Settings

RECORD_FILE: Final = "run.json"
FITS_FOLDER: Final = "fits"
"""The folder of a run with its finished fits, until it has finished."""
MAX_RECORD_BYTES: Final = 64 << 20
_LOCK_FILE: Final = "lock"


@dataclass(frozen=True)
class Runs:
    """The runs in a folder.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     runs = Runs(Path(folder))
    ...     with runs.begin({"tune": 0}, {}) as recording:
    ...         recording.figures = {"best": "rules"}
    ...     runs.status(runs.latest()), runs.latest().figures
    ('finished', {'best': 'rules'})
    """

    folder: Path

    @contextmanager
    def begin(
        self, parameters: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> Iterator[RunRecorder]:
        """A new run, recorded as begun; its end, or the error that ended it, is recorded too.

        Raises:
            BadFile: the folder cannot be written.
        """
        began = datetime.now(UTC)
        name = f"{began:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        record = RunRecord(
            run=name,
            began=began.isoformat(timespec="microseconds"),
            parameters=dict(parameters),
            inputs=dict(inputs),
            code=code_versions(),
            machine=this_machine(),
        )
        recording = RunRecorder(record, self.folder / name)
        with _locked(recording.folder / _LOCK_FILE):
            yield from _recorded(recording)

    @contextmanager
    def resume(self, name: str) -> Iterator[RunRecorder]:
        """A run that was killed or failed goes on, under its name.

        Its record stays as it is until `describe` has accepted what is asked for now.

        Raises:
            NotFound: there is no such run.
            ConfigurationError: it runs, or it has finished.
        """
        record = self.find(name)
        if self.status(record) == "running":
            raise ConfigurationError(f"the run {record.run} is running: wait for its end.")
        with _locked(self.folder / record.run / _LOCK_FILE):
            # another process may have gone on with it meanwhile
            record = self._read(record.run)
            if record.ended is not None and record.failure is None:
                raise ConfigurationError(
                    f"the run {record.run} has finished: expected one that was killed or failed."
                )
            again = msgspec.structs.replace(
                record,
                ended=None,
                failure=None,
                code=code_versions(),
                machine=this_machine(),
                resumed=record.resumed + 1,
            )
            yield from _recorded(RunRecorder(again, self.folder / record.run, accepted=False))

    def all(self) -> list[RunRecord]:
        """The records of all runs that can be read, the oldest first."""
        return self.scan()[0]

    def scan(self) -> tuple[list[RunRecord], list[str]]:
        """The same, and the names of the runs whose records cannot be read."""
        found: list[RunRecord] = []
        unreadable: list[str] = []
        for name in self._names():
            try:
                found.append(self._read(name))
            except BadFile:
                unreadable.append(name)
        return sorted(found, key=lambda one: (one.began, one.run)), sorted(unreadable)

    def find(self, name: str) -> RunRecord:
        """The run of a name, or of the one name that begins so.

        Raises:
            NotFound: there is none, or there are several.
            BadFile: its record cannot be read.
        """
        names = self._names()
        meant = [name] if name in names else [one for one in names if name and one.startswith(name)]
        if len(meant) != 1:
            hint = did_you_mean(name, names) or "; `shroff runs list` shows them."
            found = (
                f"there are {len(meant)} runs whose names begin with"
                if meant
                else f"{self.folder} has no run"
            )
            raise NotFound(f"{found} `{name}`{hint}")
        return self._read(meant[0])

    def maker(self, version: str) -> RunRecord:
        """The run that packaged a bundle, by its version.

        Raises:
            NotFound: there is none.
        """
        for record in self.all():
            if record.bundle is not None and record.bundle["version"] == version:
                return record
        raise NotFound(f"{self.folder} has no run that made the bundle {version}; name a run.")

    def latest(self) -> RunRecord:
        """The finished run that began last.

        Raises:
            NotFound: no run has finished.
        """
        for record in reversed(self.all()):
            if record.ended is not None and record.failure is None:
                return record
        raise NotFound(f"{self.folder} has no finished run; make one with `shroff train`.")

    def status(self, record: RunRecord) -> Status:
        """Whether a run is running, or how it ended."""
        if record.ended is not None:
            return "finished" if record.failure is None else "failed"
        try:
            # without waiting: a named pipe opens only when somebody writes to it
            lock = os.open(self.folder / record.run / _LOCK_FILE, os.O_RDONLY | os.O_NONBLOCK)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            finally:
                os.close(lock)
        except BlockingIOError:
            return "running"
        except OSError:
            return "killed"  # nobody holds a lock that is not there
        # it may have ended since its record was read
        again = self._read(record.run)
        return "killed" if again.ended is None else self.status(again)

    def _names(self) -> list[str]:
        return [one.parent.name for one in self.folder.glob(f"*/{RECORD_FILE}")]

    def _read(self, name: str) -> RunRecord:
        path = self.folder / name / RECORD_FILE
        try:
            record = msgspec.json.decode(read_plain(path, MAX_RECORD_BYTES), type=RunRecord)
        except (FileNotFoundError, *UNREADABLE) as error:
            raise BadFile(
                f"{path}: expected the record of a run, got {type(error).__name__}; remove its "
                "folder."
            ) from None
        if record.run != name:
            raise BadFile(
                f"{path}: expected the record of the run that its folder is called after, got "
                "another; remove its folder."
            )
        return record


@dataclass
class RunRecorder:
    """A run that is being recorded: what it found is set here, steps are named as they begin.

    Nothing is written before it is `accepted`.
    """

    record: RunRecord
    folder: Path
    inputs: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Judgement] = field(default_factory=dict)
    importance: dict[str, float] = field(default_factory=dict)
    bundle: dict[str, str] | None = None
    refusal: str | None = None
    accepted: bool = True
    _seconds: dict[str, float] = field(default_factory=dict)
    _step: tuple[str, float] | None = None

    def timing(self, progress: Callable[[str], None]) -> Callable[[str], None]:
        """The same progress, whose steps are timed."""

        def step(name: str) -> None:
            self._close_step()
            self._step = name, time.perf_counter()
            progress(name)

        return step

    def describe(self, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """Record what was asked for and what is read, which only the project says.

        Raises:
            ConfigurationError: a run that goes on was asked for something else.
        """
        before = self.record
        asked = msgspec.structs.replace(before, parameters=dict(parameters), inputs=dict(inputs))
        if before.inputs:
            now = msgspec.json.decode(_encoded(asked), type=RunRecord)
            known = {name: one for name, one in before.inputs.items() if name in now.inputs}
            for name in differences(msgspec.structs.replace(before, inputs=known), now):
                raise ConfigurationError(
                    f"the run {before.run} was asked for something else (see `{name}` of `shroff "
                    "runs show --json`): begin another one."
                )
        self.record, self.accepted = asked, True
        self.write()

    def end(self, failure: str | None = None) -> None:
        """Write how the run ended; an attempt to go on that was refused leaves its record."""
        if not self.accepted:
            return
        self._close_step()
        self.record = msgspec.structs.replace(
            self.record,
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            failure=failure,
            inputs=self.record.inputs | self.inputs,
            seconds=self._seconds,
            figures=self.figures,
            evaluation=self.evaluation,
            importance=self.importance,
            bundle=self.bundle,
            refusal=self.refusal,
        )
        self.write()
        if failure is None:
            shutil.rmtree(self.folder / FITS_FOLDER, ignore_errors=True)

    def write(self) -> None:
        """Write the record as it is."""
        with written_whole(self.folder / RECORD_FILE, private=True) as file:
            file.write(msgspec.json.format(_encoded(self.record), indent=1))

    def _close_step(self) -> None:
        if self._step is not None:
            name, since = self._step
            self._seconds[name] = round(
                self._seconds.get(name, 0.0) + time.perf_counter() - since, 3
            )
            self._step = None


def _recorded(recording: RunRecorder) -> Iterator[RunRecorder]:
    if recording.accepted:
        recording.write()
    try:
        yield recording
    except BaseException as error:
        recording.end(
            failure=str(error) if isinstance(error, ShroffError) else type(error).__name__
        )
        raise
    recording.end()


def _encoded(record: RunRecord) -> bytes:
    return msgspec.json.encode(record, enc_hook=str)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        private_folder(path.parent)
        private_file(path)
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise BadFile(
            f"{path.parent}: expected a folder for the record of a run, got: {error.strerror}."
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def recorded() -> Runs:
    """The runs in the folder that the settings name."""
    return Runs(Settings.read().home / "runs")


def load_run(name: str | None = None) -> RunRecord:
    """The record of a run of `shroff train`, by its name or how that begins; by default the latest
    finished one.

    `SHROFF_HOME` says where runs are.

    Raises:
        NotFound: there is none, or there are several.
        BadFile: its record cannot be read.
    """
    runs = recorded()
    return runs.latest() if name is None else runs.find(name)
