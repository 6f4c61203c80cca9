"""The mirror as commands see it: a process that talks to MLflow, waited for at most a minute.

A process of its own, because MLflow takes seconds to import, because only a process can be ended
whatever it waits for, and because it sees when this one is killed: its standard input ends.
"""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final, Self

import msgspec

from shroff.errors import ConfigurationError, MissingExtra, Unavailable
from shroff.location import address
from shroff.settings import Settings
from shroff.tracking.job import PATIENCE_SECONDS, Job, MirrorResult

_KINDS: Final = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "azureml")
_URL: Final = re.compile(rf"(?:{'|'.join(_KINDS)})(?:\+\w+)?://.+|databricks")

_NO_NAME: Final = frozenset("/\\:'\"`")
"""What MLflow takes in no name of a registered model, or ends a name in its filters."""


@dataclass(frozen=True)
class Mirror:
    """An MLflow server or database to which runs and stages are sent.

    Raises:
        ConfigurationError: the URL is of none of these.
        MissingExtra: MLflow is not installed.
    """

    url: str = field(repr=False)
    settings: Settings
    patience: float = PATIENCE_SECONDS

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.url):
            raise ConfigurationError(
                "expected a tracking URL such as `https://mlflow.bank.example` or "
                f"`sqlite:////var/lib/mlflow.db`, got `{address(self.url)}`; MLflow keeps no runs "
                "in folders any more."
            )
        if set(self.settings.tracking_name) & _NO_NAME:
            raise ConfigurationError(
                "expected SHROFF_TRACKING_NAME without slashes, colons and quotation marks."
            )
        if find_spec("mlflow") is None:
            raise MissingExtra("tracking needs MLflow: `pip install 'shroff[mlflow]'`.")

    @classmethod
    def wanted(cls, url: str | None) -> Mirror | None:
        """The mirror of a URL, or of the settings; None where neither names one."""
        settings = Settings.read()
        chosen = url or settings.tracking
        return cls(chosen, settings) if chosen else None

    @classmethod
    def required(cls, url: str | None) -> Mirror:
        """The same where one is needed.

        Raises:
            ConfigurationError: none is named.
        """
        found = cls.wanted(url)
        if found is None:
            raise ConfigurationError(
                "expected where to send it: set SHROFF_TRACKING, or pass --to URL."
            )
        return found

    def __str__(self) -> str:
        return address(self.url)

    def send_run(self, run: str) -> int:
        """Send a recorded run; returns how many runs MLflow has of it, with one per detector.

        Raises:
            Unavailable: it was not sent; the message says why.
        """
        return self._sent(self._start(run=run), "the run was")

    def send_models(self, *, everything: bool = False) -> int:
        """Send the stages of models as versions and aliases; returns how many versions there are.

        Args:
            everything: also send models that are in no stage any more.

        Raises:
            Unavailable: they were not sent; the message says why.
        """
        return self._sent(self._start(everything=everything), "the stages of models were")

    def _sent(self, process: subprocess.Popen[bytes], what: str) -> int:
        found = self.result(process)
        if found.failed is not None:
            raise Unavailable(f"{self}: {what} not sent: {found.failed}.")
        return found.sent

    def start(self, run: str) -> subprocess.Popen[bytes]:
        """The process that follows a run."""
        return self._start(run=run, follow=True)

    def _start(
        self, *, run: str | None = None, follow: bool = False, everything: bool = False
    ) -> subprocess.Popen[bytes]:
        settings = self.settings
        job = Job(
            url=self.url,
            home=str(settings.home.absolute()),
            models=str(settings.models.absolute()),
            name=settings.tracking_name,
            run=run,
            follow=follow,
            everything=everything,
        )
        # -P: a file `mlflow.py` in the working directory is not MLflow; own session: Ctrl-C
        # ends the training only. The URL may hold a login, so it is no argument.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "shroff.tracking.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            process.stdin.flush()
        return process

    def result(self, process: subprocess.Popen[bytes]) -> MirrorResult:
        """What became of a job, whose run has ended."""
        try:
            # a line, because a process forked meanwhile may hold the pipe open
            answer, _ = process.communicate(b"ended\n", timeout=self.patience)
            return msgspec.json.decode(answer, type=MirrorResult)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return MirrorResult(f"it took more than {self.patience:g} seconds")
        except msgspec.DecodeError:
            return MirrorResult(f"the process that sends ended with code {process.returncode}")


class RunMirror:
    """A run of `shroff train` in a mirror, if there is one, from `follow` on.

    As a context it waits at its end until the run is sent, except after Ctrl-C: then the mirror
    finishes by itself. `failed` says why MLflow lacks the run.
    """

    def __init__(self, mirror: Mirror | None) -> None:
        self._mirror = mirror
        self._process: subprocess.Popen[bytes] | None = None
        self._run = ""
        self.failed: str | None = None

    def follow(self, run: str) -> None:
        """Mirror a recorded run: that it runs now, and how it has ended once this context ends."""
        if self._mirror is not None:
            self._run, self._process = run, self._mirror.start(run)

    @property
    def document(self) -> dict[str, object]:
        """Where the run was sent, and whether it is there; empty without a mirror."""
        if self._mirror is None:
            return {}
        return {"tracking": {"server": str(self._mirror), "sent": self.failed is None}}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._mirror is None or self._process is None:
            return
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            return
        found = self._mirror.result(self._process)
        if found.failed is not None:
            self.failed = (
                f"{self._mirror}: the run was not sent: {found.failed}; send it later with "
                f"`shroff runs track {self._run}`."
            )
