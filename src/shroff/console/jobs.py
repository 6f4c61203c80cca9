"""What takes longer than a page may: begun by a form, watched by a page, one of each name at once.

Kept in this process only; what came of it is in the histories of the rooms that did it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock, Thread
from typing import Final

from shroff.clock import Clock
from shroff.errors import ConfigurationError, ShroffError

_log = logging.getLogger(__name__)
_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class PageJob:
    """A job: who began it and when (microseconds); `said` once it has ended, `failed` if badly."""

    what: str
    by: str
    began: int
    said: str | None = None
    failed: bool = False

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.said is None


class Jobs:
    """The jobs of this process by name, the last hundred.

    >>> jobs = Jobs(lambda: 0)
    >>> jobs.begin("a", "add", "ada", lambda: "added").join()
    >>> jobs.find("a").said
    'added'
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[str, PageJob] = {}
        self._lock = Lock()

    def find(self, name: str) -> PageJob | None:
        """The last job of a name."""
        return self._jobs.get(name)

    def begin(self, name: str, what: str, by: str, work: Callable[[], str]) -> Thread:
        """Begin a job; its work returns the sentence about what it did.

        Raises:
            ConfigurationError: one of this name is running.
        """
        with self._lock:
            before = self._jobs.pop(name, None)
            if before is not None and before.running:
                self._jobs[name] = before
                raise ConfigurationError(
                    f"{before.by} began to {before.what} already: wait for its end."
                )
            job = self._jobs[name] = PageJob(what, by, self._clock())
            for old in list(self._jobs)[:-_KEPT]:
                if not self._jobs[old].running:
                    del self._jobs[old]
        thread = Thread(target=self._run, args=(name, job, work), daemon=True)
        thread.start()
        return thread

    def _run(self, name: str, job: PageJob, work: Callable[[], str]) -> None:
        try:
            self._jobs[name] = replace(job, said=work())
        except ShroffError as error:
            self._jobs[name] = replace(job, said=str(error), failed=True)
        except Exception:  # noqa: BLE001  # whatever ends a thread is seen where it was begun
            _log.exception("a job failed", extra={"event": "unexpected"})
            said = "This is a defect of Shroff; its details are in the log of the console."
            self._jobs[name] = replace(job, said=said, failed=True)
