"""Ask a service whatever its OpenAPI description allows, and what it does not, and check every
answer.

Schemathesis makes requests from the whole description: its examples, the edges of every field, and
random ones, valid and not. Each answer must be no server error, of a documented status, content
type, headers and schema; wrong data must be refused, undocumented methods and missing keys too. Not
checked is that valid data is always taken: JSON Schema cannot say that an id was used before, that
a time lies ahead of the clock, or what a model reads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.fuzz.neighbour import Neighbour
from benchmarks.fuzz.outcome import Outcome
from benchmarks.fuzz.watch import Watch
from serve.fuzzable import CASES, NAMES, fuzzable

_CHECKS_OFF = "positive_data_acceptance"
_CURRENCIES = ("EUR", "USD", "JPY", "BHD")
_LOOK_SECONDS: Final = 0.2
_FIELDS = {"payment_id": "ids", "created_at": "times", "currency": "currencies"}


@dataclass(frozen=True)
class Fuzzed:
    """What became of one operation: requests sent, and the titles of the checks that failed, one a
    request.
    """

    operation: str
    cases: int
    failures: tuple[str, ...]


def fuzz(
    url: str,
    token: str,
    *,
    examples: int,
    seed: int,
    names: Sequence[str] = (),
    finished: Callable[[str], None] = lambda _: None,
) -> list[Fuzzed]:
    """Ask the service at a URL.

    Args:
        token: an API key of all scopes.
        examples: random requests an operation, at most.
        names: models and lists that the service has.
        finished: called with what was asked last, and how long it took.

    Raises:
        RuntimeError: Schemathesis could not run.
    """
    with TemporaryDirectory(prefix="shroff-fuzz-") as name:
        folder = Path(name)
        config, events = folder / "schemathesis.toml", folder / "events.ndjson"
        config.write_text(_config(names))
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file",
            str(config),
        ]
        command += ["run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {token}"]
        command += [
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            str(examples),
            "--seed",
            str(seed),
        ]
        command += [
            "--exclude-checks",
            _CHECKS_OFF,
            "--continue-on-failure",
            "--no-shrink",
            "--warnings",
            "off",
        ]
        command += [
            "--suppress-health-check",
            "all",
            "--report",
            "ndjson",
            "--report-ndjson-path",
            str(events),
        ]
        with (folder / "output").open("w+") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, text=True, cwd=folder
            )
            try:
                found = _read(_events(events, process), finished)
            finally:
                process.kill()
                process.wait()
            if process.returncode not in (0, 1) or not found:
                output.seek(0)
                raise RuntimeError(
                    f"Schemathesis ended with {process.returncode}:\n{output.read()}"
                )
        return found


def _events(path: Path, process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """The events in a file that a process writes, each once it is there, until the process ends."""
    read, ended = 0, False
    while not ended:
        ended = process.poll() is not None
        if path.exists():
            with path.open("rb") as file:
                file.seek(read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    read += len(line)
                    yield json.loads(line)
        if not ended:
            time.sleep(_LOOK_SECONDS)


def _config(names: Sequence[str]) -> str:
    """Values that random ones would never hit: ids that come again, times of now, currencies, names
    there are.
    """
    now = datetime.now(UTC)
    values = {
        "ids": [f"fuzz-{number}" for number in range(200)],
        "times": [(now - timedelta(seconds=second)).isoformat() for second in range(0, 600, 7)],
        "currencies": _CURRENCIES,
        "names": names or ["x"],
        "cases": [str(number) for number in range(1, CASES + 1)],
    }
    lines = [f"hooks = {json.dumps(str(Path(__file__).with_name('hooks.py')))}"]
    for name, entries in values.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(list(entries))}"]
    lines += ["[parameters]"]
    for field, name in _FIELDS.items():
        lines += [f'"body.{field}" = {{ dictionary = "{name}", probability = 0.8 }}']
    for field, name in (("payment_id", "ids"), ("name", "names"), ("case", "cases")):
        lines += [f'"path.{field}" = {{ dictionary = "{name}", probability = 0.8 }}']
    # every line of a batch has an answer of its own, so the whole is never refused for what is in
    # it
    lines += ["[[operations]]", 'include-name = "POST /v1/decisions:batch"']
    lines += ["checks.negative_data_rejection.enabled = false"]
    return "\n".join(lines)


def _read(events: Iterable[dict[str, Any]], finished: Callable[[str], None]) -> list[Fuzzed]:
    cases: Counter[str] = Counter()
    failures: dict[str, list[str]] = {}
    for event in events:
        if (error := event.get("NonFatalError")) is not None:
            raise RuntimeError(f"Schemathesis could not make requests: {json.dumps(error)}")
        if (scenario := event.get("ScenarioFinished")) is not None:
            recorder = scenario["recorder"]
            number = len(recorder.get("interactions", {}))
            cases[recorder["label"]] += number
            finished(
                f"{scenario['phase']}: {recorder['label']}: {number:,} requests "
                f"in {scenario['elapsed_time']:.0f} s"
            )
            failures.setdefault(recorder["label"], []).extend(_failed(recorder))
    return [Fuzzed(name, cases[name], tuple(failed)) for name, failed in sorted(failures.items())]


def _failed(recorder: dict[str, Any]) -> Iterator[str]:
    for checks in recorder.get("checks", {}).values():
        for check in checks:
            if check["status"] != "success":
                failure = check["failure_info"]["failure"]
                yield f"{failure['title']}: {failure['message']}"


def fuzz_described(
    home: Path, *, examples: int, seed: int, finished: Callable[[str], None]
) -> Iterator[Outcome]:
    """Ask a service of its own, beside a neighbour: a row for all operations."""
    with ExitStack() as stack:
        service, token = stack.enter_context(fuzzable(home))
        neighbour = stack.enter_context(Neighbour(service.address[1], token, service.process.pid))
        with Watch(service.process.pid, service.log, neighbour, quiet=True).over(
            "described"
        ) as seen:
            for one in fuzz(
                service.url, token, examples=examples, seed=seed, names=NAMES, finished=finished
            ):
                seen.cases += one.cases
                seen.failures.update(f"{one.operation}: {failure}" for failure in one.failures)
        yield seen.outcome()
