"""The process that talks to MLflow: a job on standard input, its result on standard output.

A run is followed until another line comes, or standard input ends with the process that trains.
What is sent then comes from the record, which says how the run ended; one that was killed could not
say it itself.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from shroff.errors import ShroffError, one_line
from shroff.private import private_file
from shroff.tracking.job import PATIENCE_SECONDS, Job, MirrorResult
from shroff.tracking.sending import send_models, send_run

if TYPE_CHECKING:
    from shroff.tracking.store import Store

_MAX_REASON_CHARACTERS: Final = 300
_NO_ANSWER: Final = ("Max retries exceeded", "Connection refused", "timed out")
"""What MLflow's errors say where a server or its database is lost."""


def main() -> None:
    """Do what standard input asks for."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    # MLflow prints addresses to standard output
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    result = _run(job) if job.run is not None else _tried(job, send_models)
    with suppress(BrokenPipeError):
        answer.write(msgspec.json.encode(result))
        answer.close()


def _run(job: Job) -> MirrorResult:
    if job.follow:
        os.nice(10)  # the training goes first
        _tried(job, partial(send_run, ended=False))  # what fails now is tried again at the end
        sys.stdin.buffer.readline()
    signal.alarm(2 * PATIENCE_SECONDS)  # by then nobody waits for this process any more
    return _tried(job, partial(send_run, ended=job.follow))


def _tried(job: Job, send: Callable[[Job, Store], int]) -> MirrorResult:
    try:
        from shroff.tracking.store import Store

        with _turn(Path(job.home, "tracking.lock")):
            return MirrorResult(sent=send(job, Store(job.url, Path(job.home, "mlartifacts"))))
    except Exception as error:  # noqa: BLE001  # a mirror breaks nothing, whatever MLflow raises
        return MirrorResult(_reason(error, job.url))


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """One process of an installation at a time: two that find no run would make it twice."""
    private_file(lock)
    with lock.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _reason(error: Exception, url: str) -> str:
    """Why it failed, in words that hold no login."""
    if isinstance(error, ShroffError):
        return str(error).rstrip(".")
    text = str(error)
    if "out-of-date database schema" in text:
        return "its database is of another release of MLflow; see `mlflow db upgrade`"
    if any(sign in text for sign in _NO_ANSWER):
        return "the server does not answer"
    kind = getattr(error, "error_code", "") or type(error).__name__
    # what MLflow and its libraries say repeats the URL
    if "@" in url or "?" in url:
        return str(kind)
    return f"{kind}: {one_line(text)[:_MAX_REASON_CHARACTERS]}"


if __name__ == "__main__":
    main()
