"""Tries what may crash, hang or fill the memory in a process apart, one case after another.

python -m benchmarks.fuzz.apart bundle|history HOME
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from select import select
from traceback import extract_tb
from types import TracebackType
from typing import Final, Self

import msgspec

from benchmarks.faults.load import payment
from benchmarks.fuzz.neighbour import misjudged
from serve.service import KEY
from shroff.control.models import Models
from shroff.errors import ShroffError
from shroff.ledger import Ledger
from shroff.package import Bundle, load
from shroff.scoring.history import History, history_of
from shroff.scoring.scorer import Scorer

PATIENCE: Final = 300.0
"""Seconds that one case may take: a model on trial may take two hundred on a busy machine."""
_ROOT: Final = Path(__file__).parents[2]
_LONGEST: Final = 10_000


class Apart:
    """A process that tries cases of a sort, started again after one that it did not survive."""

    def __init__(self, sort: str, home: Path) -> None:
        self._command = [sys.executable, "-m", __name__, sort, str(home)]
        self._log = home / "apart.log"
        home.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def log(self) -> Path:
        """What it wrote on standard error."""
        return self._log

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def try_(self, case: Path) -> str:
        """What is wrong with what became of a case; nothing where it works or is refused in a
        sentence.
        """
        pipes = self._process.stdin, self._process.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        pipes[0].write(f"{case}\n")
        pipes[0].flush()
        ready, _, _ = select([pipes[1]], [], [], PATIENCE)
        line = pipes[1].readline() if ready else ""
        if line:
            wrong: str = json.loads(line)
            return wrong
        died = self._process.wait() if ready else None
        self._end()
        self._start()
        return "hangs" if died is None else f"crashes ({_named(died)})"

    def _start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()


def _named(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def outcome(trial: Callable[[], str]) -> str:
    """What is wrong with what a trial gives, or raises."""
    try:
        return trial()
    except ShroffError as error:
        said = str(error)
        whole = (
            said and "\n" not in said and len(said) <= _LONGEST and said.endswith((".", "?", "`"))
        )
        return "" if whole else f"refused in no sentence: {said[:300]!r} … {said[-100:]!r}"
    except BaseException as error:  # noqa: BLE001  # also panics of Rust, which are no exceptions
        where = extract_tb(error.__traceback__)[-1]
        return (
            f"{type(error).__name__} in {where.filename.rpartition('/')[2]}, {where.name}: "
            f"{str(error)[:200]}"
        )


def _decides(bundle: Bundle, home: Path, history: History | None = None) -> str:
    """Whether a bundle decides a payment of now, over an empty ledger."""
    name = f"payment-{time.time_ns()}"
    ledger = home / f"{name}.db"
    scorer = Scorer(bundle, Ledger(f"sqlite:///{ledger}"), key=KEY, history=history)
    try:
        scorer.start()
        sent = msgspec.json.encode(payment(0, time.time()) | {"payment_id": name})
        return misjudged(200, asyncio.run(scorer.decide(sent)))
    finally:
        scorer.close()
        for file in home.glob(f"{name}.db*"):
            file.unlink()


def _bundle(case: Path, home: Path) -> str:
    """Publish a bundle beside one that is in production, and decide by it."""
    models = Models(home / "models")
    published = models.publish(case, accept_schema=True, own_policy=True)
    return _decides(models.load(published.version), home)


def _history(case: Path, home: Path) -> str:
    """Start from a table, as `shroff serve --warm`; a good payment of now must be decided then."""
    bundle = load(home / "bundle")
    allowed = 1.0 if "lenient" in case.name else 0.01
    return _decides(bundle, home, History(lambda: history_of(bundle, case, KEY, allowed)))


_TRIALS: Final = {"bundle": _bundle, "history": _history}


def _serve(sort: str, home: Path) -> None:
    sys.stdout.write("\n")
    sys.stdout.flush()
    for line in sys.stdin:
        case = Path(line[:-1])
        wrong = outcome(lambda case=case: _TRIALS[sort](case, home))  # type: ignore[misc]  # bound now
        sys.stdout.write(json.dumps(wrong) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
